SET LOCAL lock_timeout = '5s';

ALTER TABLE tickets VALIDATE CONSTRAINT tickets_belong_to_a_team;
