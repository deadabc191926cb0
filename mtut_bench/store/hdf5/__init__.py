"""A store as one documented HDF5 file, and back; the file's form is in :mod:`.layout`."""

from mtut_bench.store.hdf5.exporting import export_hdf5
from mtut_bench.store.hdf5.importing import import_hdf5
from mtut_bench.store.hdf5.layout import LAYOUT_VERSION

__all__ = ["LAYOUT_VERSION", "export_hdf5", "import_hdf5"]
