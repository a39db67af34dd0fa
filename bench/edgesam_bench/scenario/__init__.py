"""What a person feels at a viewer, beside a live source, at a long list. Imports nothing itself.

:mod:`viewer`, :mod:`cine` and :mod:`batch` each play one recorded scene on the public interface;
:mod:`recorder` watches from outside which picture is read, prepared, encoded when, and
:mod:`timeline` keeps it. The rest makes a report, a table, a picture and a page of it.
"""
