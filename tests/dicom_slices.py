"""DICOM slices as scanners write them, for tests of everything that reads a series from a folder."""

import numpy as np
import pydicom
from pydicom.dataset import FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian

APART_MM = 2.5


def write_slice(path, z, shape, spacing=(0.7, 0.5), series="1.2.3", description=""):
    """Slice `z` of a scan, of this shape (Y, X) and spacing; its values are 100 z - 1024."""
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = CTImageStorage
    meta.MediaStorageSOPInstanceUID = f"{series}.{z + 1}"
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    one = pydicom.Dataset()
    one.file_meta = meta
    one.SOPClassUID, one.SOPInstanceUID = CTImageStorage, meta.MediaStorageSOPInstanceUID
    one.SeriesInstanceUID, one.SeriesDescription, one.Modality = series, description, "CT"
    one.Rows, one.Columns = shape
    one.PixelSpacing, one.SliceThickness = list(spacing), APART_MM
    one.ImageOrientationPatient, one.ImagePositionPatient = [1, 0, 0, 0, 1, 0], [0, 0, APART_MM * z]
    one.SamplesPerPixel, one.PhotometricInterpretation = 1, "MONOCHROME2"
    one.BitsAllocated = one.BitsStored = 16
    one.HighBit, one.PixelRepresentation = 15, 1
    one.RescaleSlope, one.RescaleIntercept = 1, -1024
    one.PixelData = np.full(shape, 100 * z, np.int16).tobytes()
    path.parent.mkdir(parents=True, exist_ok=True)
    one.save_as(path, enforce_file_format=True)
