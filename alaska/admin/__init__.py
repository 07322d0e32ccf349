"""What operators see and do: snapshots of broker and worker, and the operations on them.

May import the stores and what is below them. It knows broker and worker only as
:class:`~alaska.admin.operations.IAdministered`. Begin with :mod:`alaska.admin.operations`, the table of what can be
asked, and :mod:`alaska.admin.snapshots`, the answers.
"""
