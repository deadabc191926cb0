"""Tables: the paper's with measured numbers beside them, and local ones."""
