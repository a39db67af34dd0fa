"""DICOM in and out: series, pixels, places; SEG, RT structure sets, structured reports."""
