"""The ground floor: errors, flag types, the import of MXNet, devices, contracts, files. It imports nothing of ours."""

__version__ = '0.2.0'
