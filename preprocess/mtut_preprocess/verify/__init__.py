"""Raw folders checked; how near synthetic recordings come to real ones."""
