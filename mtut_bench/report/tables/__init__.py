"""Tables: the paper's with measured numbers, and those of their own."""
