"""The errors a user may meet. Each message says where, what was found, and what to do."""


class UsageError(Exception):
    """Base of every error this project raises on purpose; its text is meant for the operator."""


class SiteError(UsageError):
    """A site file that can't be read: names file, line, key and what is allowed."""


class SourceError(UsageError):
    """A source that could not be read: names site, table and cause, never a password."""


class EvidenceError(UsageError):
    """A read that would make stored evidence vanish; nothing was written."""


class ContractError(UsageError):
    """A frame that does not fit its table's declaration as a whole (columns or types)."""


class WarehouseError(UsageError):
    """The warehouse can't be opened, is held by another process, or was made by another version."""


class ExportError(UsageError):
    """An export that could not be written: names site and target, never a password."""


class BackupError(UsageError):
    """A backup that could not be made or restored; says what is in the way and that nothing was changed."""


class DiskError(UsageError):
    """A disk without room for what was asked; nothing was changed."""


class AlertError(UsageError):
    """An alert that could not be sent, or an alerts.yaml that can't be read: names channel and host, never a secret."""


class SnapshotError(UsageError):
    """A published snapshot that can't be made or read, or a question to it that it does not answer."""
