-- The description as HTML, made when it is written, so that reading it costs nothing.
SET LOCAL lock_timeout = '5s';

-- Null where it was written by an older release, or in bulk: who reads it first fills it in.
ALTER TABLE tickets
    ADD COLUMN description_html text,
    -- of kit/markdown.py, when it made this; another one makes it anew
    ADD COLUMN description_html_version smallint;

CREATE FUNCTION tickets_forget_html() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.description_html := NULL;
    NEW.description_html_version := NULL;
    RETURN NEW;
END
$$;

-- A release that knows nothing of it changes the description alone.
CREATE TRIGGER tickets_html_is_of_the_description BEFORE UPDATE OF description ON tickets
    FOR EACH ROW
    WHEN (NEW.description <> OLD.description
          AND NEW.description_html IS NOT DISTINCT FROM OLD.description_html)
    EXECUTE FUNCTION tickets_forget_html();
