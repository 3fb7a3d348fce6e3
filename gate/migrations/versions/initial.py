"""The tables of the first release.

Until that is made, tables are added here; afterwards, in a revision that follows this one. Which lines are
missing: python -m gate.migrations.difference
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    op.create_table(
        "audit",
        sa.Column(
            "sequence",
            sa.BigInteger().with_variant(sa.Integer(), "sqlite"),
            autoincrement=False,
            nullable=False,
        ),
        sa.Column("at", sa.String(length=32), nullable=False),
        sa.Column("action", sa.String(length=64), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("repository", sa.String(length=255), nullable=True),
        sa.Column("digest", sa.String(length=140), nullable=True),
        sa.Column("decision", sa.String(length=32), nullable=True),
        sa.Column("content", sa.String(length=140), nullable=True),
        sa.Column("detail", sa.Text(), nullable=False),
        sa.Column("previous", sa.String(length=140), nullable=False),
        sa.Column("hash", sa.String(length=140), nullable=False),
        sa.PrimaryKeyConstraint("sequence"),
    )
    op.create_index("audit_by_digest", "audit", ["repository", "digest"], unique=False)
    op.create_index("audit_by_decision", "audit", ["decision"], unique=False)
    op.create_table(
        "blobs",
        sa.Column("repository", sa.String(length=255), nullable=False),
        sa.Column("digest", sa.String(length=140), nullable=False),
        sa.Column("stored_as", sa.String(length=140), nullable=False),
        sa.PrimaryKeyConstraint("repository", "digest"),
    )
    op.create_index("blobs_by_digest", "blobs", ["digest"], unique=False)
    op.create_index("blobs_by_stored_digest", "blobs", ["repository", "stored_as"], unique=False)
    op.create_table(
        "decisions",
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("repository", sa.String(length=255), nullable=False),
        sa.Column("digest", sa.String(length=140), nullable=False),
        sa.Column("tag", sa.String(length=128), nullable=True),
        sa.Column("user", sa.Text(), nullable=False),
        sa.Column("at", sa.DateTime(), nullable=False),
        sa.Column("verdict", sa.String(length=16), nullable=False),
        sa.Column("line", sa.Text(), nullable=False),
        sa.Column("inputs", sa.String(length=140), nullable=False),
        sa.Column("policy_digest", sa.String(length=140), nullable=False),
        sa.Column("evidence_digest", sa.String(length=140), nullable=False),
        sa.Column("databases", sa.Text(), nullable=False),
        sa.Column("decision", sa.LargeBinary(), nullable=False),
        sa.Column("evidence", sa.LargeBinary(), nullable=False),
        sa.Column("mode", sa.String(length=16), nullable=False),
        sa.Column("later", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("decisions_by_digest", "decisions", ["repository", "digest", "at"], unique=False)
    op.create_index("decisions_by_tag", "decisions", ["repository", "tag", "at"], unique=False)
    op.create_index("decisions_by_time", "decisions", ["at", "id", "verdict", "later", "repository"], unique=False)
    op.create_table(
        "image_packages",
        sa.Column("repository", sa.String(length=255), nullable=False),
        sa.Column("digest", sa.String(length=140), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("purl", sa.String(length=512), nullable=False),
        sa.Column("name", sa.String(length=255), nullable=False),
        sa.Column("version", sa.String(length=255), nullable=False),
        sa.Column("ecosystem", sa.String(length=16), nullable=False),
        sa.Column("origin", sa.String(length=16), nullable=False),
        sa.PrimaryKeyConstraint("repository", "digest", "number"),
    )
    op.create_index("image_packages_by_name", "image_packages", ["name", "version"], unique=False)
    op.create_index("image_packages_by_purl", "image_packages", ["purl"], unique=False)
    op.create_table(
        "image_vulnerabilities",
        sa.Column("repository", sa.String(length=255), nullable=False),
        sa.Column("digest", sa.String(length=140), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(length=255), nullable=False),
        sa.Column("purl", sa.String(length=512), nullable=False),
        sa.Column("id", sa.String(length=255), nullable=False),
        sa.Column("severity", sa.String(length=16), nullable=False),
        sa.Column("fixed", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("repository", "digest", "number"),
    )
    op.create_index("image_vulnerabilities_by_name", "image_vulnerabilities", ["name"], unique=False)
    op.create_table(
        "image_waived",
        sa.Column("repository", sa.String(length=255), nullable=False),
        sa.Column("digest", sa.String(length=140), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("waiver", sa.String(length=255), nullable=False),
        sa.Column("rule", sa.String(length=255), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("culprit", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("repository", "digest", "number"),
    )
    op.create_index("image_waived_by_waiver", "image_waived", ["waiver"], unique=False)
    op.create_table(
        "intents",
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("gate", sa.String(length=32), nullable=False),
        sa.Column("at", sa.DateTime(), nullable=False),
        sa.Column("repository", sa.String(length=255), nullable=False),
        sa.Column("manifest", sa.String(length=140), nullable=True),
        sa.Column("tag", sa.String(length=128), nullable=True),
        sa.Column("upload", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("intents_by_age", "intents", ["at"], unique=False)
    op.create_table(
        "secrets",
        sa.Column("name", sa.String(length=32), nullable=False),
        sa.Column("value", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("name"),
    )
    op.create_table(
        "statements",
        sa.Column("subject", sa.String(length=140), nullable=False),
        sa.Column("bundle_digest", sa.String(length=140), nullable=False),
        sa.Column("predicate_type", sa.Text(), nullable=False),
        sa.Column("bundle", sa.LargeBinary(), nullable=False),
        sa.Column("at", sa.DateTime(), nullable=False),
        sa.PrimaryKeyConstraint("subject", "bundle_digest"),
    )
    op.create_table(
        "robots",
        sa.Column("name", sa.String(length=63), nullable=False),
        sa.Column("role", sa.String(length=16), nullable=False),
        sa.Column("repositories", sa.Text(), nullable=False),
        sa.Column("created", sa.DateTime(), nullable=False),
        sa.Column("expires", sa.DateTime(), nullable=False),
        sa.Column("secret", sa.LargeBinary(), nullable=False),
        sa.Column("former", sa.LargeBinary(), nullable=True),
        sa.Column("former_until", sa.DateTime(), nullable=True),
        sa.Column("revoked", sa.DateTime(), nullable=True),
        sa.PrimaryKeyConstraint("name"),
    )
    op.create_table(
        "tags",
        sa.Column("repository", sa.String(length=255), nullable=False),
        sa.Column(
            "tag",
            sa.String(length=128).with_variant(sa.String(length=128, collation="C"), "postgresql"),
            nullable=False,
        ),
        sa.Column("digest", sa.String(length=140), nullable=False),
        sa.PrimaryKeyConstraint("repository", "tag"),
    )
    op.create_table(
        "manifests",
        sa.Column("repository", sa.String(length=255), nullable=False),
        sa.Column("digest", sa.String(length=140), nullable=False),
        sa.Column("media_type", sa.Text(), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("raw", sa.LargeBinary(), nullable=False),
        sa.Column("subject", sa.String(length=140), nullable=True),
        sa.Column("decision", sa.String(length=32), nullable=True),
        sa.Column("at", sa.DateTime(), nullable=False),
        sa.Column("kept_as", sa.String(length=140), nullable=True),
        sa.Column("audited", sa.Boolean(), nullable=False),
        sa.ForeignKeyConstraint(
            ["decision"],
            ["decisions.id"],
        ),
        sa.PrimaryKeyConstraint("repository", "digest"),
    )
    op.create_index("manifests_by_subject", "manifests", ["repository", "subject"], unique=False)
    op.create_index("manifests_by_kind", "manifests", ["kind", "audited", "repository", "digest"], unique=False)
    op.create_table(
        "parts",
        sa.Column("repository", sa.String(length=255), nullable=False),
        sa.Column("manifest", sa.String(length=140), nullable=False),
        sa.Column("blob", sa.String(length=140), nullable=False),
        sa.ForeignKeyConstraint(
            ["repository", "manifest"], ["manifests.repository", "manifests.digest"], ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("repository", "manifest", "blob"),
    )
    op.create_index("parts_by_blob", "parts", ["repository", "blob"], unique=False)
    op.create_table(
        "index_entries",
        sa.Column("repository", sa.String(length=255), nullable=False),
        sa.Column("index", sa.String(length=140), nullable=False),
        sa.Column("entry", sa.String(length=140), nullable=False),
        sa.ForeignKeyConstraint(
            ["repository", "index"], ["manifests.repository", "manifests.digest"], ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("repository", "index", "entry"),
    )
    op.create_index("index_entries_by_entry", "index_entries", ["repository", "entry"], unique=False)
    op.create_table(
        "standings",
        sa.Column("repository", sa.String(length=255), nullable=False),
        sa.Column("digest", sa.String(length=140), nullable=False),
        sa.Column("at", sa.DateTime(), nullable=False),
        sa.Column("rules", sa.String(length=140), nullable=True),
        sa.Column("admitted", sa.String(length=32), nullable=False),
        sa.Column("until", sa.DateTime(), nullable=True),
        sa.Column("decision", sa.String(length=32), nullable=True),
        sa.Column("causes", sa.LargeBinary(), nullable=False),
        sa.Column("claimed", sa.DateTime(), nullable=True),
        sa.ForeignKeyConstraint(
            ["decision"],
            ["decisions.id"],
        ),
        sa.ForeignKeyConstraint(
            ["repository", "digest"], ["manifests.repository", "manifests.digest"], ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("repository", "digest"),
    )
    op.create_table(
        "sightings",
        sa.Column("package", sa.String(length=140), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("purl", sa.Text(), nullable=False),
        sa.Column("first", sa.DateTime(), nullable=False),
        sa.PrimaryKeyConstraint("package", "name"),
    )
    op.create_table(
        "notify_deliveries",
        sa.Column("id", sa.String(length=40), nullable=False),
        sa.Column("sink", sa.String(length=63), nullable=False),
        sa.Column("topic", sa.String(length=32), nullable=False),
        sa.Column("about", sa.Text(), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.Column("media_type", sa.String(length=64), nullable=False),
        sa.Column("at", sa.DateTime(), nullable=False),
        sa.Column("due", sa.DateTime(), nullable=False),
        sa.Column("tries", sa.Integer(), nullable=False),
        sa.Column("claimed", sa.DateTime(), nullable=True),
        sa.Column("problem", sa.Text(), nullable=False),
        sa.Column("failed", sa.DateTime(), nullable=True),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("notify_deliveries_by_sink", "notify_deliveries", ["sink", "failed", "due"], unique=False)
    op.create_table(
        "notify_notices",
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("sink", sa.String(length=63), nullable=False),
        sa.Column("topic", sa.String(length=32), nullable=False),
        sa.Column("owner", sa.String(length=255), nullable=True),
        sa.Column("at", sa.DateTime(), nullable=False),
        sa.Column("content", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("notify_notices_by_group", "notify_notices", ["sink", "topic", "owner", "at"], unique=False)
    op.create_table(
        "notify_readers",
        sa.Column("sink", sa.String(length=63), nullable=False),
        sa.Column("sequence", sa.BigInteger(), nullable=False),
        sa.Column("since", sa.DateTime(), nullable=False),
        sa.PrimaryKeyConstraint("sink"),
    )
    op.create_table(
        "notify_told",
        sa.Column("sink", sa.String(length=63), nullable=False),
        sa.Column("key", sa.String(length=512), nullable=False),
        sa.Column("at", sa.DateTime(), nullable=False),
        sa.PrimaryKeyConstraint("sink", "key"),
    )
