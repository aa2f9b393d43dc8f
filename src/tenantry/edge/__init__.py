"""The edge: bytes become requests (`listener`, `http1`, `head`), requests find their door (`front`), answers become bytes
(`reply`).

Read `front.py` first: it is the map of everything that can be asked of the platform.
"""
