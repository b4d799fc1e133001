"""What Alembic calls to migrate: it works on the connection that `atb.db.migration` hands over."""

from alembic import context

from atb.db.tables import Table

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=Table.metadata,
    render_as_batch=True,
    transactional_ddl=True,  # the connection begins real transactions on SQLite too
    compare_type=True,
    user_module_prefix="types.",
)
context.run_migrations()
