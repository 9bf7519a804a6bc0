-- PostgreSQL makes the words of a ticket anew at every change while any trigger stands before it:
-- a trigger might have changed the title. After it, only a change of title or description does.
SET LOCAL lock_timeout = '5s';

DROP TRIGGER tickets_html_is_of_the_description ON tickets;

CREATE OR REPLACE FUNCTION tickets_forget_html() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE tickets SET description_html = NULL, description_html_version = NULL WHERE id = NEW.id;
    RETURN NULL;
END
$$;

CREATE TRIGGER tickets_html_is_of_the_description AFTER UPDATE OF description ON tickets
    FOR EACH ROW
    WHEN (NEW.description <> OLD.description
          AND NEW.description_html IS NOT DISTINCT FROM OLD.description_html)
    EXECUTE FUNCTION tickets_forget_html();
