BEGIN TRANSACTION;
CREATE TABLE account_lease (
	account VARCHAR(120) NOT NULL, 
	epoch BIGINT NOT NULL, 
	holder TEXT NOT NULL, 
	until_ms BIGINT NOT NULL, 
	CONSTRAINT pk_account_lease PRIMARY KEY (account)
);
INSERT INTO "account_lease" VALUES('main',1,'host 1 1',0);
CREATE TABLE acknowledgement (
	id INTEGER NOT NULL, 
	account TEXT NOT NULL, 
	max_loss TEXT NOT NULL, 
	config_sha256 TEXT NOT NULL, 
	text TEXT NOT NULL, 
	holder TEXT NOT NULL, 
	created_at DATETIME NOT NULL, 
	CONSTRAINT pk_acknowledgement PRIMARY KEY (id)
);
CREATE TABLE alembic_version (
	version_num VARCHAR(32) NOT NULL, 
	CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num)
);
INSERT INTO "alembic_version" VALUES('0003');
CREATE TABLE cursor (
	session_id VARCHAR(120) NOT NULL, 
	symbol VARCHAR(40) NOT NULL, 
	trade_id TEXT NOT NULL, 
	CONSTRAINT pk_cursor PRIMARY KEY (session_id, symbol), 
	CONSTRAINT fk_cursor_session_id_session FOREIGN KEY(session_id) REFERENCES session (session_id) DEFERRABLE INITIALLY DEFERRED
);
INSERT INTO "cursor" VALUES('main-490065054ea6c1dd','BTC/USDT','3');
CREATE TABLE decision (
	session_id VARCHAR(120) NOT NULL, 
	bar_ms BIGINT NOT NULL, 
	slot INTEGER NOT NULL, 
	strategy TEXT NOT NULL, 
	symbol TEXT NOT NULL, 
	side DOUBLE, 
	prediction DOUBLE, 
	confidence DOUBLE, 
	bar JSON NOT NULL, 
	intents JSON NOT NULL, 
	refusal TEXT, 
	created_at DATETIME NOT NULL, 
	CONSTRAINT pk_decision PRIMARY KEY (session_id, bar_ms, slot), 
	CONSTRAINT fk_decision_session_id_session FOREIGN KEY(session_id) REFERENCES session (session_id) DEFERRABLE INITIALLY DEFERRED
);
INSERT INTO "decision" VALUES('main-490065054ea6c1dd',1704175200000,0,'sma_cross','BTC/USDT',1.0,NULL,1.0,'{"opened": 1704175200000, "closed": 1704178800000, "open": 114.5, "high": 115.115, "low": 114.3855, "close": 115.0, "volume": 100.0, "funding": 0.0, "first": 0}','[{"client_id": "", "side": "buy", "role": "entry", "type": "market", "quantity": "78.22005", "reason": "entry_signal"}]',NULL,'2026-11-30 10:03:44.312693');
INSERT INTO "decision" VALUES('main-490065054ea6c1dd',1704178800000,0,'sma_cross','BTC/USDT',1.0,NULL,1.0,'{"opened": 1704178800000, "closed": 1704182400000, "open": 115.0, "high": 115.6155, "low": 114.885, "close": 115.5, "volume": 100.0, "funding": 0.0, "first": 0}','[]',NULL,'2026-11-30 10:03:47.815305');
INSERT INTO "decision" VALUES('main-490065054ea6c1dd',1704182400000,0,'sma_cross','BTC/USDT',1.0,NULL,1.0,'{"opened": 1704182400000, "closed": 1704186000000, "open": 115.5, "high": 116.116, "low": 115.3845, "close": 116.0, "volume": 100.0, "funding": 0.0, "first": 0}','[]',NULL,'2026-11-30 10:03:47.848048');
INSERT INTO "decision" VALUES('main-490065054ea6c1dd',1704186000000,0,'sma_cross','BTC/USDT',1.0,NULL,1.0,'{"opened": 1704186000000, "closed": 1704189600000, "open": 116.0, "high": 116.6165, "low": 115.884, "close": 116.5, "volume": 100.0, "funding": 0.0, "first": 0}','[]',NULL,'2026-11-30 10:03:47.872815');
CREATE TABLE equity (
	session_id VARCHAR(120) NOT NULL, 
	bar_ms BIGINT NOT NULL, 
	equity TEXT NOT NULL, 
	cash TEXT NOT NULL, 
	CONSTRAINT pk_equity PRIMARY KEY (session_id, bar_ms), 
	CONSTRAINT fk_equity_session_id_session FOREIGN KEY(session_id) REFERENCES session (session_id) DEFERRABLE INITIALLY DEFERRED
);
INSERT INTO "equity" VALUES('main-490065054ea6c1dd',1704175200000,'10000.0','10000.0');
INSERT INTO "equity" VALUES('main-490065054ea6c1dd',1704178800000,'10025.41682305','991.0010480500005');
INSERT INTO "equity" VALUES('main-490065054ea6c1dd',1704182400000,'10064.52684805','991.0010480500005');
INSERT INTO "equity" VALUES('main-490065054ea6c1dd',1704186000000,'10103.63687305','991.0010480500005');
CREATE TABLE event (
	id INTEGER NOT NULL, 
	session_id TEXT, 
	time DATETIME NOT NULL, 
	severity TEXT NOT NULL, 
	kind TEXT NOT NULL, 
	detail JSON NOT NULL, 
	CONSTRAINT pk_event PRIMARY KEY (id)
);
INSERT INTO "event" VALUES(1,'main-490065054ea6c1dd','2026-11-30 10:03:21.472059','info','started','{"epoch": 1, "last_bar_ms": null}');
INSERT INTO "event" VALUES(2,'main-490065054ea6c1dd','2026-11-30 10:03:21.577017','info','accepted','{"surplus": {"USDT": "0.0", "BTC": "0.0"}}');
INSERT INTO "event" VALUES(3,'main-490065054ea6c1dd','2026-11-30 10:03:47.894329','info','finished','{"status": "finished", "bars": 4, "trades": 0, "equity": 10103.63687305, "last_bar": "2024-01-02 09:00"}');
CREATE TABLE evidence (
	id INTEGER NOT NULL, 
	kind TEXT NOT NULL, 
	manifest_sha256 VARCHAR(64) NOT NULL, 
	run_id TEXT, 
	passed BOOLEAN NOT NULL, 
	detail JSON NOT NULL, 
	created_at DATETIME NOT NULL, 
	CONSTRAINT pk_evidence PRIMARY KEY (id)
);
CREATE TABLE fill (
	session_id VARCHAR(120) NOT NULL, 
	symbol VARCHAR(40) NOT NULL, 
	trade_id VARCHAR(120) NOT NULL, 
	fill_no INTEGER, 
	client_id TEXT, 
	trade_no INTEGER, 
	slot INTEGER NOT NULL, 
	side TEXT NOT NULL, 
	role TEXT NOT NULL, 
	reason TEXT, 
	price TEXT NOT NULL, 
	quantity TEXT NOT NULL, 
	fee TEXT NOT NULL, 
	fee_asset TEXT NOT NULL, 
	fee_value TEXT, 
	time_ms BIGINT NOT NULL, 
	created_at DATETIME NOT NULL, 
	CONSTRAINT pk_fill PRIMARY KEY (session_id, symbol, trade_id), 
	CONSTRAINT fk_fill_session_id_session FOREIGN KEY(session_id) REFERENCES session (session_id) DEFERRABLE INITIALLY DEFERRED
);
INSERT INTO "fill" VALUES('main-490065054ea6c1dd','BTC/USDT','3',0,'atb-sma_cr-bnslxwrc7c-lqvxww00-e0',NULL,0,'buy','entry','entry_signal','115.06','78.22005','8.99999895','USDT','8.99999895',1704178800000,'2026-11-30 10:03:47.002566');
CREATE TABLE halt (
	id INTEGER NOT NULL, 
	account TEXT NOT NULL, 
	level INTEGER NOT NULL, 
	reason TEXT NOT NULL, 
	source TEXT NOT NULL, 
	set_at DATETIME NOT NULL, 
	CONSTRAINT pk_halt PRIMARY KEY (id), 
	CONSTRAINT ck_halt_level CHECK (level BETWEEN 0 AND 3)
);
CREATE TABLE handover (
	id INTEGER NOT NULL, 
	session_id VARCHAR(120) NOT NULL, 
	slot INTEGER NOT NULL, 
	kind TEXT NOT NULL, 
	from_manifest_sha256 TEXT NOT NULL, 
	to_manifest_sha256 TEXT NOT NULL, 
	from_bar_ms BIGINT NOT NULL, 
	position TEXT NOT NULL, 
	stop_client_id TEXT, 
	detail JSON NOT NULL, 
	created_at DATETIME NOT NULL, 
	CONSTRAINT pk_handover PRIMARY KEY (id), 
	CONSTRAINT ck_handover_kind CHECK (kind IN ('shadowed', 'adopted', 'rolled_back')), 
	CONSTRAINT fk_handover_session_id_session FOREIGN KEY(session_id) REFERENCES session (session_id) DEFERRABLE INITIALLY DEFERRED
);
CREATE TABLE intent (
	client_id VARCHAR(36) NOT NULL, 
	session_id VARCHAR(120) NOT NULL, 
	slot INTEGER NOT NULL, 
	strategy TEXT NOT NULL, 
	symbol TEXT NOT NULL, 
	bar_ms BIGINT NOT NULL, 
	role TEXT NOT NULL, 
	attempt INTEGER NOT NULL, 
	side TEXT NOT NULL, 
	type TEXT NOT NULL, 
	quantity TEXT NOT NULL, 
	price TEXT, 
	stop_price TEXT, 
	notional TEXT, 
	list_id TEXT, 
	state TEXT NOT NULL, 
	exchange_id TEXT, 
	filled TEXT NOT NULL, 
	reason TEXT, 
	refusal TEXT, 
	epoch BIGINT NOT NULL, 
	placed_ms BIGINT, 
	sent_ms BIGINT NOT NULL, 
	created_at DATETIME NOT NULL, 
	updated_at DATETIME NOT NULL, 
	CONSTRAINT pk_intent PRIMARY KEY (client_id), 
	CONSTRAINT ck_intent_state CHECK (state IN ('planned', 'sent', 'live', 'partially_filled', 'filled', 'cancelled', 'rejected', 'expired', 'absent', 'withheld')), 
	CONSTRAINT ck_intent_client_id_length CHECK (length(client_id) <= 36), 
	CONSTRAINT fk_intent_session_id_session FOREIGN KEY(session_id) REFERENCES session (session_id) DEFERRABLE INITIALLY DEFERRED, 
	CONSTRAINT uq_intent_session_id_slot_bar_ms_role_attempt UNIQUE (session_id, slot, bar_ms, role, attempt)
);
INSERT INTO "intent" VALUES('atb-sma_cr-bnslxwrc7c-lqvxww00-e0','main-490065054ea6c1dd',0,'sma_cross','BTC/USDT',1704175200000,'entry',0,'buy','market','78.22005','117.3',NULL,'9175.211865','atb-sma_cr-bnslxwrc7c-lqvxww00-l0','filled','1','78.22005','entry_signal',NULL,1,1704178800000,1704178800000,'2026-11-30 10:03:44.313596','2026-11-30 10:03:46.981506');
INSERT INTO "intent" VALUES('atb-sma_cr-bnslxwrc7c-lqvxww00-s0','main-490065054ea6c1dd',0,'sma_cross','BTC/USDT',1704175200000,'stop',0,'sell','stop','78.22005',NULL,'103.55','8099.6861775','atb-sma_cr-bnslxwrc7c-lqvxww00-l0','live','2','0','stop_loss',NULL,1,1704178800000,1704178800000,'2026-11-30 10:03:44.313601','2026-11-30 10:03:46.981505');
INSERT INTO "intent" VALUES('atb-sma_cr-bnslxwrc7c-lqvxww00-t0','main-490065054ea6c1dd',0,'sma_cross','BTC/USDT',1704175200000,'target',0,'sell','limit','78.22005','172.59',NULL,'13499.9984295','atb-sma_cr-bnslxwrc7c-lqvxww00-l0','live','3','0','take_profit',NULL,1,1704178800000,1704178800000,'2026-11-30 10:03:44.313602','2026-11-30 10:03:46.981494');
CREATE TABLE kernel_state (
	session_id VARCHAR(120) NOT NULL, 
	bar_ms BIGINT NOT NULL, 
	step_no BIGINT NOT NULL, 
	schema INTEGER NOT NULL, 
	payload JSON NOT NULL, 
	CONSTRAINT pk_kernel_state PRIMARY KEY (session_id), 
	CONSTRAINT fk_kernel_state_session_id_session FOREIGN KEY(session_id) REFERENCES session (session_id) DEFERRABLE INITIALLY DEFERRED
);
INSERT INTO "kernel_state" VALUES('main-490065054ea6c1dd',1704186000000,6,2,'{"schema": 2, "account": {"cash": 991.0010480500005, "equity": 10103.63687305, "peak": 10103.63687305, "fees": 8.99999895, "financing": 0.0, "orders": 1, "trades": 0, "day": 0, "day_equity": 0.0, "day_orders": 1, "day_turnover": 8999.998953, "throttle": 0, "halt": 0}, "slots": [{"quantity": 78.22005, "dust": 0.0, "entry_price": 115.06, "entry_time": 1704178800000, "stop": 103.55, "stop_reason": 3, "target": 172.59, "target_quantity": 78.22005, "rung": 0, "unit": 78.22005, "added_price": 115.06, "additions": 0, "highest": 116.6165, "lowest": 114.885, "bars_held": 3, "inside": 0, "opened_quantity": 78.22005, "exit_value": 0.0, "realised": 0.0, "fees": 8.99999895, "financing": 0.0, "mark": 116.5, "atr": null, "volume": 100.0, "cluster": 1.0, "waits": 0.0, "cool": 0, "wins": 0, "losses": 0, "gain": 0.0, "loss": 0.0, "entry": 0.0, "entry_reason": 1, "entry_kind": 0, "entry_at": null, "entry_bars": 1, "entry_atr": null, "entry_stop": null, "exit": 0.0, "exit_reason": 0, "refusal": 0}], "desk": {"began_ms": 1704175200000, "bars": {"0": 1704186000000}, "surplus": {"USDT": "0.0", "BTC": "0.0"}, "quarantine": {}, "present": {}, "strangers": []}}');
CREATE TABLE order_event (
	session_id VARCHAR(120) NOT NULL, 
	event_no BIGINT NOT NULL, 
	time_ms BIGINT NOT NULL, 
	client_id TEXT NOT NULL, 
	kind TEXT NOT NULL, 
	detail JSON NOT NULL, 
	CONSTRAINT pk_order_event PRIMARY KEY (session_id, event_no, time_ms), 
	CONSTRAINT fk_order_event_session_id_session FOREIGN KEY(session_id) REFERENCES session (session_id) DEFERRABLE INITIALLY DEFERRED
);
INSERT INTO "order_event" VALUES('main-490065054ea6c1dd',1,1704178800000,'atb-sma_cr-bnslxwrc7c-lqvxww00-e0','answer','{"outcome": "done", "code": "", "text": ""}');
INSERT INTO "order_event" VALUES('main-490065054ea6c1dd',2,1704178800000,'atb-sma_cr-bnslxwrc7c-lqvxww00-s0','answer','{"outcome": "done", "code": "", "text": ""}');
INSERT INTO "order_event" VALUES('main-490065054ea6c1dd',3,1704178800000,'atb-sma_cr-bnslxwrc7c-lqvxww00-t0','answer','{"outcome": "done", "code": "", "text": ""}');
CREATE TABLE promotion (
	manifest_sha256 VARCHAR(64) NOT NULL, 
	name TEXT NOT NULL, 
	mode TEXT NOT NULL, 
	run_id TEXT, 
	path TEXT NOT NULL, 
	verdict JSON NOT NULL, 
	created_at DATETIME NOT NULL, 
	CONSTRAINT pk_promotion PRIMARY KEY (manifest_sha256)
);
CREATE TABLE run (
	run_id VARCHAR(120) NOT NULL, 
	notebook TEXT NOT NULL, 
	notebook_sha256 TEXT NOT NULL, 
	parameters JSON NOT NULL, 
	parameters_sha256 TEXT NOT NULL, 
	status TEXT NOT NULL, 
	error TEXT, 
	failed_cell INTEGER, 
	started_at DATETIME NOT NULL, 
	ended_at DATETIME, 
	seconds DOUBLE, 
	"commit" TEXT, 
	dirty BOOLEAN, 
	kernel_hash TEXT, 
	seed BIGINT, 
	versions JSON NOT NULL, 
	data JSON NOT NULL, 
	metrics JSON NOT NULL, 
	path TEXT NOT NULL, 
	holder TEXT, 
	CONSTRAINT pk_run PRIMARY KEY (run_id), 
	CONSTRAINT ck_run_status CHECK (status IN ('running', 'succeeded', 'failed', 'interrupted'))
);
CREATE TABLE session (
	session_id VARCHAR(120) NOT NULL, 
	account TEXT NOT NULL, 
	mode TEXT NOT NULL, 
	key TEXT NOT NULL, 
	cash TEXT NOT NULL, 
	trade_from_ms BIGINT NOT NULL, 
	last_bar_ms BIGINT, 
	status TEXT NOT NULL, 
	started_at DATETIME NOT NULL, 
	updated_at DATETIME NOT NULL, 
	versions JSON NOT NULL, 
	config JSON NOT NULL, 
	CONSTRAINT pk_session PRIMARY KEY (session_id), 
	CONSTRAINT ck_session_status CHECK (status IN ('running', 'stopped', 'finished', 'halted'))
);
INSERT INTO "session" VALUES('main-490065054ea6c1dd','main','live','490065054ea6c1dd766d962140e15d711f3fc82b42abdc24bf5be0ff1858bee4','10000.0',1704175200000,1704186000000,'finished','2026-11-30 10:03:21.461063','2026-11-30 10:03:47.893840','{"python": "3.11.7", "numba": "0.68.1", "numpy": "2.4.6", "TA-Lib": "0.8.2", "onnxruntime": "1.32.0", "ccxt": "4.5.90", "pandas": "3.1.1", "atb-workbench": "0.1.0"}','{}');
CREATE TABLE slot (
	session_id VARCHAR(120) NOT NULL, 
	slot INTEGER NOT NULL, 
	manifest_sha256 TEXT NOT NULL, 
	strategy TEXT NOT NULL, 
	symbol TEXT NOT NULL, 
	timeframe TEXT NOT NULL, 
	status TEXT NOT NULL, 
	last_bar_ms BIGINT, 
	CONSTRAINT pk_slot PRIMARY KEY (session_id, slot), 
	CONSTRAINT ck_slot_status CHECK (status IN ('trading', 'shadow', 'retired')), 
	CONSTRAINT fk_slot_session_id_session FOREIGN KEY(session_id) REFERENCES session (session_id) DEFERRABLE INITIALLY DEFERRED
);
INSERT INTO "slot" VALUES('main-490065054ea6c1dd',0,'490065054ea6c1dd766d962140e15d711f3fc82b42abdc24bf5be0ff1858bee4','sma_cross','BTC/USDT','1h','trading',1704186000000);
CREATE TABLE trade (
	session_id VARCHAR(120) NOT NULL, 
	trade_no INTEGER NOT NULL, 
	slot INTEGER NOT NULL, 
	strategy TEXT NOT NULL, 
	symbol TEXT NOT NULL, 
	side TEXT NOT NULL, 
	quantity TEXT NOT NULL, 
	entry_ms BIGINT NOT NULL, 
	entry_price TEXT NOT NULL, 
	exit_ms BIGINT NOT NULL, 
	exit_price TEXT NOT NULL, 
	fees TEXT NOT NULL, 
	pnl TEXT NOT NULL, 
	mfe DOUBLE, 
	mae DOUBLE, 
	exit_reason TEXT NOT NULL, 
	bars_held INTEGER NOT NULL, financing TEXT, additions INTEGER, 
	CONSTRAINT pk_trade PRIMARY KEY (session_id, trade_no), 
	CONSTRAINT fk_trade_session_id_session FOREIGN KEY(session_id) REFERENCES session (session_id) DEFERRABLE INITIALLY DEFERRED
);
CREATE INDEX ix_event_session_id_id ON event (session_id, id);
CREATE INDEX ix_run_started_at ON run (started_at);
CREATE INDEX ix_session_account ON session (account);
CREATE INDEX ix_order_event_client_id ON order_event (client_id);
CREATE INDEX ix_handover_session_id_slot ON handover (session_id, slot);
CREATE INDEX ix_halt_account_id ON halt (account, id);
CREATE INDEX ix_acknowledgement_account ON acknowledgement (account);
CREATE INDEX ix_evidence_manifest_sha256_kind ON evidence (manifest_sha256, kind);
CREATE INDEX ix_intent_session_id_state ON intent (session_id, state);
CREATE INDEX ix_intent_session_id_placed_ms ON intent (session_id, placed_ms);
CREATE UNIQUE INDEX uq_intent_open_entry ON intent (session_id, slot) WHERE role = 'entry' AND state IN ('planned', 'sent', 'live', 'partially_filled');
CREATE INDEX ix_fill_client_id ON fill (client_id);
CREATE INDEX ix_fill_session_id_trade_no ON fill (session_id, trade_no);
COMMIT;
