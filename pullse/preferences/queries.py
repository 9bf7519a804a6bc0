"""Every statement about preferences."""

from pullse.kit.db import Db, Struct


class Row(Struct, frozen=True):
    look: str
    contrast: str
    density: str
    columns: list[str]
    language: str
    zone: str


async def find(db: Db, actor: str) -> Row | None:
    return await db.maybe(
        Row,
        """
        SELECT look, contrast, density, columns, language, zone
          FROM preferences
         WHERE actor = $1
        """,
        actor,
    )


async def save(
    db: Db,
    actor: str,
    *,
    look: str | None,
    contrast: str | None,
    density: str | None,
    columns: list[str] | None,
    language: str | None,
    zone: str | None,
) -> Row:
    """None leaves one as it is."""
    return await db.one(
        Row,
        """
        INSERT INTO preferences AS old (actor, look, contrast, density, columns, language, zone)
             VALUES ($1, coalesce($2, ''), coalesce($3, ''), coalesce($4, 'comfortable'),
                     coalesce($5::text[], '{}'), coalesce($6, ''), coalesce($7, 'UTC'))
        ON CONFLICT ON CONSTRAINT preferences_pkey DO UPDATE
                SET look = coalesce($2, old.look),
                    contrast = coalesce($3, old.contrast),
                    density = coalesce($4, old.density),
                    columns = coalesce($5::text[], old.columns),
                    language = coalesce($6, old.language),
                    zone = coalesce($7, old.zone),
                    updated_at = now()
          RETURNING look, contrast, density, columns, language, zone
        """,
        actor,
        look,
        contrast,
        density,
        columns,
        language,
        zone,
    )
