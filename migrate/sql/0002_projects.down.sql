-- Drops every project and task.
drop table tasks, projects;
