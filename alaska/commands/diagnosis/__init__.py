"""What ``alas doctor`` examines, a module for each subject. Nothing is changed, and nothing needs a broker.

May import what commands may. Begin with :mod:`alaska.commands.diagnosis.findings`.
"""
