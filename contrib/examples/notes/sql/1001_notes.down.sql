-- Drops all notes. There is no way back but a backup.
drop table notes;
