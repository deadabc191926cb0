"""The folder of a report: its files, their record, and the check of them."""
