# Every recipe but `check` is one cargo command: nothing here needs `just`.

# list the recipes
default:
    @{{just_executable()}} --list --unsorted

# MongoDB (fetched if there is none) and the server on http://127.0.0.1:3000
run *args:
    cargo run --release --example demo -- {{args}}

# MongoDB alone, until Ctrl-C; its data stays under target/mongod-data
mongod:
    cargo run --release --example demo -- mongod

# the tests, against real server processes and a real MongoDB
test *args:
    cargo test {{args}}

# what CI runs: format, licences and crates, lints, tests
check:
    .ci/run

# what is known against the crates (cargo-deny has to be installed, and to reach its database)
advisories:
    cargo deny --locked --config .ci/deny.toml check -D warnings advisories

# rebuild the view from the log
replay *args:
    cargo run --release --example demo -- replay {{args}}

# compare the view with the log
verify *args:
    cargo run --release --example demo -- verify {{args}}

# livelog beside the server that it replaces, under the same loads: three minutes
bench-peers:
    cargo run --release --example bench-peers

# load a running server and report its speed
bench *args:
    cargo run --release -- bench {{args}}
