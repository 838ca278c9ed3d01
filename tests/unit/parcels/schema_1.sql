CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE streams (
    stream INTEGER PRIMARY KEY, date REAL NOT NULL, window_end REAL NOT NULL,
    spacing REAL NOT NULL
);
CREATE TABLE scenes (
    id TEXT PRIMARY KEY, path TEXT NOT NULL, kind TEXT NOT NULL, start REAL NOT NULL,
    stop REAL NOT NULL, pass_id TEXT NOT NULL, platform TEXT NOT NULL, orbit INTEGER NOT NULL,
    polarisations TEXT NOT NULL, units TEXT NOT NULL, rows INTEGER NOT NULL,
    cols INTEGER NOT NULL, pixel REAL NOT NULL, footprint BLOB NOT NULL
) WITHOUT ROWID;
CREATE TABLE unreadable (path TEXT PRIMARY KEY, reason TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE passes (
    pass_index INTEGER PRIMARY KEY, pass_id TEXT NOT NULL UNIQUE, time REAL, start REAL NOT NULL,
    stop REAL NOT NULL, platform TEXT NOT NULL, orbit INTEGER NOT NULL,
    polarisations TEXT NOT NULL, reason TEXT NOT NULL
);
CREATE TABLE pass_scenes (
    scene_id TEXT PRIMARY KEY REFERENCES scenes, pass_index INTEGER NOT NULL REFERENCES passes,
    reason TEXT NOT NULL
) WITHOUT ROWID;
CREATE TABLE parcels (
    parcel_id INTEGER PRIMARY KEY, stream INTEGER NOT NULL REFERENCES streams,
    seed_row INTEGER NOT NULL, seed_col INTEGER NOT NULL,
    origin_pass INTEGER REFERENCES passes
);
CREATE TABLE observations (
    pass_index INTEGER NOT NULL REFERENCES passes, parcel_id INTEGER NOT NULL REFERENCES parcels,
    time REAL NOT NULL, x REAL NOT NULL, y REAL NOT NULL, var_x REAL, var_y REAL, cov_xy REAL,
    mcc REAL, peak_ratio REAL, rotation REAL, q_flag INTEGER NOT NULL,
    source_pass INTEGER REFERENCES passes,
    PRIMARY KEY (pass_index, parcel_id)
) WITHOUT ROWID;
CREATE TABLE missed (
    pass_index INTEGER NOT NULL REFERENCES passes, parcel_id INTEGER NOT NULL REFERENCES parcels,
    PRIMARY KEY (pass_index, parcel_id)
) WITHOUT ROWID;
CREATE TABLE ends (
    parcel_id INTEGER PRIMARY KEY REFERENCES parcels, reason INTEGER NOT NULL,
    time REAL NOT NULL, pass_index INTEGER REFERENCES passes
);
CREATE TABLE pairs (
    pair_index INTEGER PRIMARY KEY, source_pass INTEGER NOT NULL REFERENCES passes,
    target_pass INTEGER NOT NULL REFERENCES passes
);
CREATE TABLE vectors (
    pair_index INTEGER NOT NULL REFERENCES pairs, parcel_id INTEGER NOT NULL REFERENCES parcels,
    x0 REAL NOT NULL, y0 REAL NOT NULL, x1 REAL, y1 REAL, var_x REAL, var_y REAL, cov_xy REAL,
    first_guess_x REAL, first_guess_y REAL, first_guess_error REAL, mcc REAL, peak_ratio REAL,
    rotation REAL, strain_xx REAL, strain_yy REAL, strain_xy REAL, status INTEGER NOT NULL,
    time0 REAL, time1 REAL,
    PRIMARY KEY (pair_index, parcel_id)
) WITHOUT ROWID;
