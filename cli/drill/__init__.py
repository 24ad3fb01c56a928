"""A part of the platform is taken away, real calls are followed, and it is put back whatever happens.

`plan`, `losses`, `calls`, `report` and `show` are pure; `act`, `journal`, `traffic` and `command` act.
"""
