"""The graphs we author: one file per architecture, over one small vocabulary (``net``)."""
