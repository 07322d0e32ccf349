"""The files of the administration page (docs/page.md). They import nothing of Alaska; ``alaska/admin`` serves them.

Begin with ``main.js``. ``vendor/`` has the files of two libraries, unmodified, and VENDOR.md says which.
"""
