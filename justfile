# The entry to all that is done by hand. `just` lists it.

_list:
    @just --list

# The full check of a change: what CI runs.
check:
    scripts/check

# What is quick to say: format, lints.
lint:
    cargo fmt --all
    buf format -w
    cargo clippy --workspace --all-targets -- -D warnings

# The tests whose name holds a word.
test name="":
    cargo test --workspace {{ name }}

# The same, on a throwaway PostgreSQL.
test-postgres name="":
    TOKEND_TEST_DATABASE=postgres cargo test --lib --test it {{ name }}

# The same, on a throwaway MariaDB.
test-mariadb name="":
    TOKEND_TEST_DATABASE=mariadb cargo test --lib --test it {{ name }}

# What calls cost, as ratios to what they must cost: minutes, on a machine that does nothing else.
bench *args:
    cargo bench --locked --bench load -- {{ args }}

# The pieces of a call, each alone.
bench-pieces *args:
    cargo bench --locked --bench pieces -- {{ args }}

# The description of what the shim serves, after a change to it.
openapi:
    cargo run -- openapi > docs/openapi.json

# A server on a throwaway database.
serve:
    TOKEND__DATABASE__URL="sqlite://$(mktemp -d)/tokend.db" cargo run -- serve

# The image that docker-compose.yml runs.
image:
    docker build --build-arg TOKEND_COMMIT="$(git rev-parse HEAD)" --tag tokend:latest .
