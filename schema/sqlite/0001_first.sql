-- 0001_first.sql - every table of the main database.
--
-- Times are UTC text as RFC 3339 with milliseconds (2026-11-20T14:09:36.123Z), so text order is time
-- order. Months are the date of their first day. JSON is text. Order of age is the row number, never
-- the clock, which may jump.

-- ---- workflows and who may use them ----

CREATE TABLE settings(
  name TEXT PRIMARY KEY,
  value TEXT NOT NULL,
  updated_at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ', 'now')),
  updated_by TEXT
) STRICT, WITHOUT ROWID;

-- One state of all workflow files, named by the hash of its contents. Kept while a job is pinned to it.
CREATE TABLE generations(
  generation TEXT PRIMARY KEY,
  created_at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ', 'now')),
  activated_at TEXT,
  n_files INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE generation_contents(
  content_hash TEXT PRIMARY KEY,
  content BLOB NOT NULL
) STRICT;

CREATE TABLE generation_files(
  generation TEXT NOT NULL REFERENCES generations ON DELETE CASCADE,
  path TEXT NOT NULL,
  content_hash TEXT NOT NULL REFERENCES generation_contents,
  PRIMARY KEY (generation, path)
) STRICT, WITHOUT ROWID;
CREATE INDEX generation_files_content ON generation_files(content_hash);

CREATE TABLE api_keys(
  key_id TEXT PRIMARY KEY,
  key_hash TEXT NOT NULL UNIQUE,          -- SHA-256 of the key, hex; the key itself is nowhere
  name TEXT NOT NULL,
  role TEXT NOT NULL CHECK (role IN ('viewer', 'operator', 'admin')),
  created_at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ', 'now')),
  created_by TEXT,
  expires_at TEXT,
  last_used_at TEXT,
  revoked_at TEXT
) STRICT, WITHOUT ROWID;

CREATE TABLE workers(
  worker_id TEXT PRIMARY KEY,
  host TEXT NOT NULL,
  pid INTEGER NOT NULL,
  role TEXT NOT NULL,
  generation TEXT,
  started_at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ', 'now')),
  seen_at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ', 'now'))
) STRICT, WITHOUT ROWID;

-- ---- parameters of models ----

CREATE TABLE configs(
  config_id TEXT PRIMARY KEY,             -- MD5 of the sorted JSON
  config TEXT NOT NULL,
  created_at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ', 'now')),
  is_active INTEGER NOT NULL DEFAULT 0 CHECK (is_active IN (0, 1)),
  source TEXT                             -- manual_upload, tuning
) STRICT;
CREATE UNIQUE INDEX configs_active ON configs(is_active) WHERE is_active = 1; -- at most one
CREATE INDEX configs_created ON configs(created_at, config_id);

-- ---- jobs ----

CREATE TABLE jobs(
  job_seq INTEGER PRIMARY KEY,            -- age
  job_id TEXT NOT NULL UNIQUE,            -- UUID
  job_type TEXT NOT NULL,
  status TEXT NOT NULL DEFAULT 'pending'
    CHECK (status IN ('pending', 'running', 'completed', 'failed', 'cancelled')),
  created_at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ', 'now')),
  updated_at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ', 'now')),
  started_at TEXT,                        -- of the first attempt
  finished_at TEXT,
  created_by TEXT,                        -- key_id
  generation TEXT REFERENCES generations,
  parameters TEXT NOT NULL DEFAULT '{}',
  param_hash TEXT,
  result TEXT,
  result_id TEXT,
  config_id TEXT REFERENCES configs,
  model_id TEXT,
  error_code TEXT,
  error_message TEXT,
  error_details TEXT,
  progress REAL NOT NULL DEFAULT 0 CHECK (progress BETWEEN 0 AND 100),
  progress_text TEXT,
  -- The queue. The engine looks for jobs by `queue` only, people by `status`: with both in one
  -- query the planner would take the index of the wrong one.
  queue TEXT DEFAULT 'ready'              -- asleep: until run_at or waiting_for; NULL: finished
    CHECK (queue IN ('ready', 'asleep', 'running')),
  priority INTEGER NOT NULL DEFAULT 0,    -- higher goes first
  run_at TEXT,                            -- back-off, job:sleep, deadline of job:wait_for
  waiting_for TEXT,                       -- name of a signal, or the id of a child job
  attempt INTEGER NOT NULL DEFAULT 0,
  max_attempts INTEGER NOT NULL DEFAULT 1,
  n_deaths INTEGER NOT NULL DEFAULT 0,    -- workers that died on it
  is_dead INTEGER NOT NULL DEFAULT 0 CHECK (is_dead IN (0, 1)), -- dead letter: wants a person
  deadline_at TEXT,
  concurrency_key TEXT NOT NULL,          -- the job type, or finer
  concurrency_max INTEGER,                -- running at once with this key; NULL = any number
  lease_owner TEXT,
  lease_until TEXT,
  is_cancel_asked INTEGER NOT NULL DEFAULT 0 CHECK (is_cancel_asked IN (0, 1)),
  -- relatives
  parent_job_id TEXT REFERENCES jobs(job_id) ON DELETE SET NULL,
  retry_of TEXT,
  schedule_name TEXT,
  datasphere_job_id TEXT,
  CHECK (coalesce(queue, '') = CASE status WHEN 'running' THEN 'running'
         WHEN 'pending' THEN iif(queue = 'asleep', 'asleep', 'ready') ELSE '' END)
) STRICT;
-- claiming: the best of each key, then the best of those; sleepers and the finished are not in it
CREATE INDEX jobs_queue ON jobs(concurrency_key, priority DESC, job_seq, concurrency_max)
  WHERE queue = 'ready';
CREATE INDEX jobs_asleep ON jobs(run_at) WHERE queue = 'asleep';
CREATE INDEX jobs_waiting ON jobs(waiting_for) WHERE waiting_for IS NOT NULL;
CREATE INDEX jobs_running ON jobs(concurrency_key) WHERE queue = 'running';
CREATE INDEX jobs_leased ON jobs(lease_until) WHERE queue = 'running';
CREATE INDEX jobs_deadline ON jobs(deadline_at) WHERE deadline_at IS NOT NULL AND finished_at IS NULL;
-- listing, newest first: the row number is the cursor
CREATE INDEX jobs_by_type ON jobs(job_type, status);
CREATE INDEX jobs_by_status ON jobs(status);
CREATE INDEX jobs_by_key ON jobs(created_by) WHERE created_by IS NOT NULL;
CREATE INDEX jobs_by_created ON jobs(created_at);
CREATE INDEX jobs_dead ON jobs(job_seq) WHERE is_dead = 1;
CREATE INDEX jobs_finished ON jobs(finished_at) WHERE finished_at IS NOT NULL;
CREATE INDEX jobs_parent ON jobs(parent_job_id) WHERE parent_job_id IS NOT NULL;
CREATE INDEX jobs_generation ON jobs(generation) WHERE finished_at IS NULL;
CREATE INDEX jobs_config ON jobs(config_id) WHERE config_id IS NOT NULL;

-- True totals of a list without counting it.
CREATE TABLE job_counts(
  job_type TEXT NOT NULL,
  status TEXT NOT NULL,
  n INTEGER NOT NULL,
  PRIMARY KEY (job_type, status)
) STRICT, WITHOUT ROWID;
CREATE TRIGGER jobs_count_insert AFTER INSERT ON jobs BEGIN
  INSERT INTO job_counts VALUES(new.job_type, new.status, 1)
    ON CONFLICT DO UPDATE SET n = n + 1;
END;
CREATE TRIGGER jobs_count_update AFTER UPDATE OF status, job_type ON jobs
  WHEN old.status <> new.status OR old.job_type <> new.job_type BEGIN
  UPDATE job_counts SET n = n - 1 WHERE job_type = old.job_type AND status = old.status;
  INSERT INTO job_counts VALUES(new.job_type, new.status, 1)
    ON CONFLICT DO UPDATE SET n = n + 1;
END;
CREATE TRIGGER jobs_count_delete AFTER DELETE ON jobs BEGIN
  UPDATE job_counts SET n = n - 1 WHERE job_type = old.job_type AND status = old.status;
END;

CREATE TABLE job_status_history(
  id INTEGER PRIMARY KEY,
  job_id TEXT NOT NULL REFERENCES jobs(job_id) ON DELETE CASCADE,
  status TEXT NOT NULL,
  progress REAL,
  status_message TEXT,
  updated_at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ', 'now'))
) STRICT;
CREATE INDEX job_status_history_job ON job_status_history(job_id);

-- What job:step remembers; item is the place in a job:map, -1 for a plain step.
CREATE TABLE job_steps(
  job_id TEXT NOT NULL REFERENCES jobs(job_id) ON DELETE CASCADE,
  name TEXT NOT NULL,
  item INTEGER NOT NULL DEFAULT -1,
  position INTEGER NOT NULL,              -- order of the first run within the job
  status TEXT NOT NULL CHECK (status IN ('running', 'completed', 'failed')),
  attempt INTEGER NOT NULL DEFAULT 1,
  started_at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ', 'now')),
  finished_at TEXT,
  result TEXT,
  error_code TEXT,
  error_message TEXT,
  error_details TEXT,
  PRIMARY KEY (job_id, name, item)
) STRICT, WITHOUT ROWID;

-- All that people watch of a job, in one sequence, so that a stream can be taken up again after any
-- event_id. Log lines are events of type log.
CREATE TABLE job_events(
  event_id INTEGER PRIMARY KEY AUTOINCREMENT,
  job_id TEXT NOT NULL REFERENCES jobs(job_id) ON DELETE CASCADE,
  type TEXT NOT NULL CHECK (type IN ('state', 'progress', 'step', 'log')),
  at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ', 'now')),
  level TEXT CHECK (level IS NULL OR level IN ('debug', 'info', 'warn', 'error')),
  step TEXT,
  message TEXT,
  data TEXT
) STRICT;
CREATE INDEX job_events_job ON job_events(job_id, type);
CREATE INDEX job_events_stream ON job_events(job_id);

CREATE VIEW job_logs AS
  SELECT event_id AS log_id, job_id, at, level, step, message FROM job_events WHERE type = 'log';

-- Callbacks and approvals for job:wait_for, which may come before the job waits.
CREATE TABLE job_signals(
  job_id TEXT NOT NULL REFERENCES jobs(job_id) ON DELETE CASCADE,
  name TEXT NOT NULL,
  payload TEXT,
  at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ', 'now')),
  sent_by TEXT,
  PRIMARY KEY (job_id, name)
) STRICT, WITHOUT ROWID;

CREATE TABLE job_artifacts(
  job_id TEXT NOT NULL REFERENCES jobs(job_id) ON DELETE CASCADE,
  name TEXT NOT NULL,
  path TEXT NOT NULL,
  content_type TEXT,
  n_bytes INTEGER NOT NULL,
  sha256 TEXT,
  created_at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ', 'now')),
  PRIMARY KEY (job_id, name)
) STRICT, WITHOUT ROWID;

CREATE TABLE job_submission_locks(
  job_type TEXT NOT NULL,
  param_hash TEXT NOT NULL,
  lock_until TEXT NOT NULL,
  job_id TEXT,
  PRIMARY KEY (job_type, param_hash)
) STRICT, WITHOUT ROWID;
CREATE INDEX job_submission_locks_until ON job_submission_locks(lock_until);

CREATE TABLE idempotency_keys(
  owner TEXT NOT NULL,                    -- key_id of the caller
  idempotency_key TEXT NOT NULL,
  request_hash TEXT NOT NULL,             -- another request under the same key is refused
  job_id TEXT,
  response_status INTEGER,
  response_body TEXT,
  created_at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ', 'now')),
  expires_at TEXT NOT NULL,
  PRIMARY KEY (owner, idempotency_key)
) STRICT, WITHOUT ROWID;
CREATE INDEX idempotency_keys_expires ON idempotency_keys(expires_at);

CREATE TABLE schedules(
  name TEXT PRIMARY KEY,
  job_type TEXT NOT NULL,
  spec TEXT NOT NULL,                     -- "day 03:00", or cron text
  time_zone TEXT NOT NULL,
  parameters TEXT NOT NULL DEFAULT '{}',
  is_paused INTEGER NOT NULL DEFAULT 0 CHECK (is_paused IN (0, 1)),
  next_at TEXT,                           -- NULL: never again
  last_at TEXT,
  last_job_id TEXT,
  n_missed INTEGER NOT NULL DEFAULT 0,    -- firings that fell together into one
  updated_at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ', 'now'))
) STRICT, WITHOUT ROWID;
CREATE INDEX schedules_due ON schedules(next_at) WHERE is_paused = 0;

-- Whoever puts the row here may fire: once per instant, whatever crashes.
CREATE TABLE schedule_firings(
  name TEXT NOT NULL REFERENCES schedules ON DELETE CASCADE,
  instant TEXT NOT NULL,
  job_id TEXT,
  n_missed INTEGER NOT NULL DEFAULT 0,
  fired_at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ', 'now')),
  PRIMARY KEY (name, instant)
) STRICT, WITHOUT ROWID;

-- How far the clock on the wall of a machine is ahead of its steady one: a change is somebody who set it.
CREATE TABLE clocks(
  machine TEXT PRIMARY KEY,               -- since its last start
  ahead_ms INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Duties of which one process does each at a time (the scheduler, maintenance).
CREATE TABLE leases(
  name TEXT PRIMARY KEY,
  owner TEXT NOT NULL,
  lease_until TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE webhooks(
  webhook_id TEXT PRIMARY KEY,
  url TEXT NOT NULL,
  secret TEXT NOT NULL,
  job_type TEXT,                          -- NULL: of any type
  events TEXT NOT NULL DEFAULT '["completed","failed","cancelled"]',
  is_active INTEGER NOT NULL DEFAULT 1 CHECK (is_active IN (0, 1)),
  created_at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ', 'now')),
  created_by TEXT
) STRICT, WITHOUT ROWID;

CREATE TABLE webhook_deliveries(
  delivery_id TEXT PRIMARY KEY,
  webhook_id TEXT NOT NULL REFERENCES webhooks ON DELETE CASCADE,
  job_id TEXT REFERENCES jobs(job_id) ON DELETE SET NULL,
  event TEXT NOT NULL,
  payload TEXT NOT NULL,
  status TEXT NOT NULL DEFAULT 'pending' CHECK (status IN ('pending', 'delivered', 'failed')),
  attempt INTEGER NOT NULL DEFAULT 0,
  next_at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ', 'now')),
  response_status INTEGER,
  error_message TEXT,
  created_at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ', 'now')),
  delivered_at TEXT
) STRICT, WITHOUT ROWID;
CREATE INDEX webhook_deliveries_due ON webhook_deliveries(next_at) WHERE status = 'pending';
CREATE INDEX webhook_deliveries_webhook ON webhook_deliveries(webhook_id, created_at);
CREATE INDEX webhook_deliveries_job ON webhook_deliveries(job_id);

CREATE TABLE retry_events(
  id INTEGER PRIMARY KEY,
  timestamp TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ', 'now')),
  component TEXT NOT NULL,
  operation TEXT NOT NULL,
  attempt INTEGER NOT NULL,
  max_attempts INTEGER NOT NULL,
  successful INTEGER NOT NULL CHECK (successful IN (0, 1)),
  duration_ms INTEGER,
  exception_type TEXT,
  exception_message TEXT
) STRICT;
CREATE INDEX retry_events_operation ON retry_events(component, operation);
CREATE INDEX retry_events_timestamp ON retry_events(timestamp);

-- ---- the star: one dimension, facts by day and by month ----

CREATE TABLE dim_multiindex_mapping(
  multiindex_id INTEGER PRIMARY KEY,
  barcode TEXT NOT NULL,
  artist TEXT NOT NULL,
  album TEXT NOT NULL,
  cover_type TEXT NOT NULL,
  price_category TEXT NOT NULL,
  release_type TEXT NOT NULL,
  recording_decade TEXT NOT NULL,
  release_decade TEXT NOT NULL,
  style TEXT NOT NULL,
  recording_year INTEGER NOT NULL,
  UNIQUE (barcode, artist, album, cover_type, price_category, release_type, recording_decade,
          release_decade, style, recording_year)
) STRICT;
CREATE INDEX dim_artist_album ON dim_multiindex_mapping(artist, album, style);
CREATE INDEX dim_style ON dim_multiindex_mapping(style);

-- Units sold on a day; days without a sale have no row.
CREATE TABLE fact_sales(
  multiindex_id INTEGER NOT NULL REFERENCES dim_multiindex_mapping,
  data_date TEXT NOT NULL,
  value REAL NOT NULL,
  PRIMARY KEY (multiindex_id, data_date)
) STRICT, WITHOUT ROWID;
CREATE INDEX idx_sales_date ON fact_sales(data_date, multiindex_id, value);

-- Arrivals less sales on a day.
CREATE TABLE fact_stock_changes(
  multiindex_id INTEGER NOT NULL REFERENCES dim_multiindex_mapping,
  data_date TEXT NOT NULL,
  value REAL NOT NULL,
  PRIMARY KEY (multiindex_id, data_date)
) STRICT, WITHOUT ROWID;
CREATE INDEX idx_stock_changes_date ON fact_stock_changes(data_date, multiindex_id, value);

-- Units on hand at the start of a day: the first of each month, and the day of the snapshot.
CREATE TABLE fact_stock(
  multiindex_id INTEGER NOT NULL REFERENCES dim_multiindex_mapping,
  data_date TEXT NOT NULL,
  value REAL NOT NULL,
  PRIMARY KEY (multiindex_id, data_date)
) STRICT, WITHOUT ROWID;
CREATE INDEX idx_stock_date ON fact_stock(data_date, multiindex_id, value);

-- Mean price of a month.
CREATE TABLE fact_prices(
  multiindex_id INTEGER NOT NULL REFERENCES dim_multiindex_mapping,
  data_date TEXT NOT NULL,
  value REAL NOT NULL,
  PRIMARY KEY (multiindex_id, data_date)
) STRICT, WITHOUT ROWID;
CREATE INDEX idx_prices_date ON fact_prices(data_date, multiindex_id, value);

-- A row for every product seen and month of its upload. imputed: units guessed for the days that
-- were still to come; never part of fact_sales.
CREATE TABLE report_features(
  data_date TEXT NOT NULL,
  multiindex_id INTEGER NOT NULL REFERENCES dim_multiindex_mapping,
  availability REAL NOT NULL,
  confidence REAL NOT NULL,
  masked_mean_sales_items REAL NOT NULL,
  masked_mean_sales_rub REAL NOT NULL,
  lost_sales REAL NOT NULL,
  imputed REAL NOT NULL DEFAULT 0,
  created_at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ', 'now')),
  PRIMARY KEY (data_date, multiindex_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX report_features_product ON report_features(multiindex_id, data_date);

CREATE VIEW monthly_sales AS
  SELECT multiindex_id, data_date, sum(observed) AS observed, sum(imputed) AS imputed,
         sum(observed) + sum(imputed) AS value
  FROM (SELECT multiindex_id, substr(data_date, 1, 7) || '-01' AS data_date, value AS observed,
               0.0 AS imputed
        FROM fact_sales
        UNION ALL
        SELECT multiindex_id, data_date, 0.0, imputed FROM report_features WHERE imputed <> 0)
  GROUP BY data_date, multiindex_id;

-- The monthly table of the reference, under its name.
CREATE VIEW fact_stock_movement AS
  SELECT multiindex_id, substr(data_date, 1, 7) || '-01' AS data_date, sum(value) AS value
  FROM fact_stock_changes
  GROUP BY substr(data_date, 1, 7), multiindex_id
  HAVING sum(value) <> 0;

-- ---- uploads ----

CREATE TABLE processing_runs(
  run_id INTEGER PRIMARY KEY,
  job_id TEXT REFERENCES jobs(job_id) ON DELETE SET NULL,
  start_time TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ', 'now')),
  end_time TEXT,
  status TEXT NOT NULL DEFAULT 'running'
    CHECK (status IN ('running', 'features_saved', 'completed', 'failed')),
  source_files TEXT NOT NULL,             -- names joined by ", ", stock first
  content_hash TEXT,                      -- of all files, as a set, and the fields
  snapshot_date TEXT,
  is_overwrite INTEGER NOT NULL DEFAULT 0 CHECK (is_overwrite IN (0, 1))
) STRICT;
CREATE INDEX processing_runs_job ON processing_runs(job_id);
CREATE INDEX processing_runs_completed ON processing_runs(run_id, content_hash) WHERE status = 'completed';

-- What is stored, month by month.
CREATE TABLE data_months(
  data_date TEXT PRIMARY KEY,
  run_id INTEGER NOT NULL REFERENCES processing_runs,
  is_complete INTEGER NOT NULL CHECK (is_complete IN (0, 1)),
  n_products INTEGER NOT NULL,
  n_rows INTEGER NOT NULL DEFAULT 0,            -- of the sales files, those that were used
  units REAL NOT NULL,
  imputed REAL NOT NULL DEFAULT 0,
  revenue REAL NOT NULL,
  stock_warnings INTEGER NOT NULL DEFAULT 0,    -- days of products on which more was sold than there can have been
  pulled_back_units INTEGER NOT NULL DEFAULT 0, -- sold before the day they are said to have come
  updated_at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ', 'now'))
) STRICT, WITHOUT ROWID;
CREATE INDEX data_months_run ON data_months(run_id);

CREATE TABLE data_upload_results(
  result_id TEXT PRIMARY KEY,
  job_id TEXT NOT NULL REFERENCES jobs(job_id) ON DELETE CASCADE,
  records_processed INTEGER NOT NULL,
  features_generated TEXT NOT NULL,
  processing_run_id INTEGER REFERENCES processing_runs ON DELETE SET NULL,
  rows_read INTEGER NOT NULL DEFAULT 0,
  rows_accepted INTEGER NOT NULL DEFAULT 0,
  rows_rejected INTEGER NOT NULL DEFAULT 0,
  summary TEXT, -- reasons, months, new products, …
  duplicate_of TEXT,
  created_at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ', 'now'))
) STRICT;
CREATE INDEX data_upload_results_job ON data_upload_results(job_id);
CREATE INDEX data_upload_results_run ON data_upload_results(processing_run_id);

-- ---- models and what they said ----

CREATE TABLE models(
  model_id TEXT PRIMARY KEY,
  job_id TEXT REFERENCES jobs(job_id) ON DELETE SET NULL,
  model_kind TEXT NOT NULL DEFAULT 'sales', -- the service it answers for
  model_path TEXT NOT NULL,
  created_at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ', 'now')),
  metadata TEXT,
  sha256 TEXT,
  is_active INTEGER NOT NULL DEFAULT 0 CHECK (is_active IN (0, 1))
) STRICT;
CREATE UNIQUE INDEX models_active ON models(model_kind) WHERE is_active = 1; -- at most one of a kind
CREATE INDEX models_created ON models(created_at, model_id);
CREATE INDEX models_job ON models(job_id);

CREATE TABLE training_results(
  result_id TEXT PRIMARY KEY,
  job_id TEXT REFERENCES jobs(job_id) ON DELETE SET NULL,
  model_id TEXT REFERENCES models ON DELETE CASCADE,
  config_id TEXT REFERENCES configs,
  metrics TEXT,
  duration REAL,                          -- seconds
  created_at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ', 'now'))
) STRICT;
CREATE INDEX training_results_job ON training_results(job_id);
CREATE INDEX training_results_model ON training_results(model_id);
CREATE INDEX training_results_config ON training_results(config_id);
CREATE INDEX training_results_created ON training_results(created_at);

CREATE TABLE tuning_results(
  result_id TEXT PRIMARY KEY,
  job_id TEXT REFERENCES jobs(job_id) ON DELETE SET NULL,
  config_id TEXT NOT NULL REFERENCES configs,
  metrics TEXT,
  duration REAL,
  created_at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ', 'now'))
) STRICT;
CREATE INDEX tuning_results_job ON tuning_results(job_id);
CREATE INDEX tuning_results_config ON tuning_results(config_id);
CREATE INDEX tuning_results_created ON tuning_results(created_at);

CREATE TABLE prediction_results(
  result_id TEXT PRIMARY KEY,
  job_id TEXT REFERENCES jobs(job_id) ON DELETE SET NULL,
  model_id TEXT NOT NULL REFERENCES models ON DELETE CASCADE,
  prediction_month TEXT NOT NULL,
  output_path TEXT,
  summary_metrics TEXT,
  created_at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ', 'now')),
  UNIQUE (job_id, prediction_month)
) STRICT;
CREATE INDEX prediction_results_month ON prediction_results(prediction_month, model_id);
CREATE INDEX prediction_results_model ON prediction_results(model_id);

CREATE TABLE fact_predictions(
  prediction_id INTEGER PRIMARY KEY,
  multiindex_id INTEGER NOT NULL REFERENCES dim_multiindex_mapping,
  prediction_month TEXT NOT NULL,
  result_id TEXT NOT NULL REFERENCES prediction_results ON DELETE CASCADE,
  model_id TEXT NOT NULL REFERENCES models ON DELETE CASCADE,
  quantile_05 REAL NOT NULL,
  quantile_25 REAL NOT NULL,
  quantile_50 REAL NOT NULL,
  quantile_75 REAL NOT NULL,
  quantile_95 REAL NOT NULL,
  method TEXT NOT NULL DEFAULT 'model',   -- who said it: model, cold_start, or a baseline's name
  created_at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ', 'now')),
  UNIQUE (prediction_month, model_id, multiindex_id)
) STRICT;
CREATE INDEX fact_predictions_product ON fact_predictions(multiindex_id, prediction_month);
CREATE INDEX fact_predictions_result ON fact_predictions(result_id);
CREATE INDEX fact_predictions_model ON fact_predictions(model_id);

-- ---- store-item forecasts: what was sold since, and what each version of the model said of it ----

CREATE TABLE store_item_actuals(
  store INTEGER NOT NULL,
  item INTEGER NOT NULL,
  data_date TEXT NOT NULL,
  sales REAL NOT NULL,
  updated_at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ', 'now')),
  PRIMARY KEY (store, item, data_date)
) STRICT, WITHOUT ROWID;
CREATE INDEX store_item_actuals_date ON store_item_actuals(data_date);

CREATE TABLE store_item_scores(
  model_id TEXT NOT NULL REFERENCES models ON DELETE CASCADE,
  store INTEGER NOT NULL,
  item INTEGER NOT NULL,
  data_date TEXT NOT NULL,
  predicted REAL NOT NULL,
  low REAL NOT NULL,
  high REAL NOT NULL,
  PRIMARY KEY (model_id, store, item, data_date)
) STRICT, WITHOUT ROWID;

-- ---- reports ----

-- What the model of a training would have said of the last month it was tested on: for the accuracy report, until
-- real forecasts have come true.
CREATE TABLE backtest_predictions(
  result_id TEXT NOT NULL REFERENCES training_results ON DELETE CASCADE,
  multiindex_id INTEGER NOT NULL REFERENCES dim_multiindex_mapping,
  prediction_month TEXT NOT NULL,
  quantile_05 REAL NOT NULL,
  quantile_25 REAL NOT NULL,
  quantile_50 REAL NOT NULL,
  quantile_75 REAL NOT NULL,
  quantile_95 REAL NOT NULL,
  PRIMARY KEY (result_id, multiindex_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX backtest_predictions_product ON backtest_predictions(multiindex_id);

CREATE TABLE report_results(
  result_id TEXT PRIMARY KEY,
  job_id TEXT REFERENCES jobs(job_id) ON DELETE SET NULL,
  report_type TEXT NOT NULL,
  prediction_month TEXT,
  model_id TEXT,
  parameters TEXT NOT NULL DEFAULT '{}',  -- and filters
  output_path TEXT,                       -- folder in the data folder
  files TEXT NOT NULL DEFAULT '{}',       -- format -> name in it
  policy TEXT,                            -- content security policy of the page
  records_count INTEGER,
  duration REAL,                          -- seconds
  created_by TEXT,                        -- key_id
  share_hash TEXT,                        -- SHA-256 of the link that needs no key, hex
  share_until TEXT,
  created_at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ', 'now'))
) STRICT;
CREATE UNIQUE INDEX report_results_share ON report_results(share_hash) WHERE share_hash IS NOT NULL;
CREATE INDEX report_results_job ON report_results(job_id);
CREATE INDEX report_results_created ON report_results(report_type, created_at);
