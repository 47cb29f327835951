"""The general data set: recordings of a user's own, or of any plant, read by configuration alone."""

from trainer.data.table.read import read_table
from trainer.data.table.section import Table
from trainer.data.table.write import write_table

__all__ = ["Table", "read_table", "write_table"]
