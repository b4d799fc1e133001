"""Alembic's entry point for migrations; it works on the connection that `atb.db.migration` passes in."""

from alembic import context

from atb.db.partitions import is_partition
from atb.db.tables import RunRow

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=RunRow.metadata,
    render_as_batch=True,
    transactional_ddl=True,  # the connection begins real transactions on SQLite too
    compare_type=True,
    include_name=lambda name, kind, _parents: not (kind == "table" and is_partition(name)),
    user_module_prefix="types.",
)
context.run_migrations()
