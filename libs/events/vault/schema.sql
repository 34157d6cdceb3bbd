-- The keys of people.  Nothing here says who somebody is: names and numbers stand sealed in the log, addresses here are
-- keyed digests.  Whoever seals may only call the functions; whoever opens may only read wrapped keys.
CREATE SCHEMA IF NOT EXISTS vault;
REVOKE ALL ON SCHEMA vault FROM PUBLIC;

CREATE TABLE IF NOT EXISTS vault.master_keys (
    master_key_id text COLLATE "C" PRIMARY KEY,
    public_key bytea NOT NULL CHECK (octet_length(public_key) = 32),
    is_current boolean NOT NULL,
    published_at timestamptz NOT NULL DEFAULT now()
);
CREATE UNIQUE INDEX IF NOT EXISTS one_current ON vault.master_keys (is_current) WHERE is_current;

CREATE TABLE IF NOT EXISTS vault.persons (
    person text COLLATE "C" PRIMARY KEY,
    contact_digest bytea UNIQUE,
    public_key bytea CHECK (octet_length(public_key) = 32),
    wrapped_key text,
    master_key_id text COLLATE "C" REFERENCES vault.master_keys,
    values_sealed bigint NOT NULL DEFAULT 1 CHECK (values_sealed > 0),
    made_at timestamptz NOT NULL DEFAULT now(),
    erased_at timestamptz,
    -- Somebody is there with all of it or erased without any of it.
    CHECK (num_nonnulls(contact_digest, public_key, wrapped_key, master_key_id)
        = CASE WHEN erased_at IS NULL THEN 4 ELSE 0 END)
);
CREATE INDEX IF NOT EXISTS persons_by_master_key ON vault.persons (master_key_id, person);

-- By which telephone numbers and mail addresses a person is found; one may belong to several, and several to one.
CREATE TABLE IF NOT EXISTS vault.addresses (
    digest bytea NOT NULL,
    person text COLLATE "C" NOT NULL REFERENCES vault.persons ON DELETE CASCADE,
    PRIMARY KEY (digest, person)
);
CREATE INDEX IF NOT EXISTS addresses_by_person ON vault.addresses (person);

-- Up to which order in the stream PERSONS erasures were carried out here; a restored vault has an earlier one.
CREATE TABLE IF NOT EXISTS vault.carried_out (
    one boolean PRIMARY KEY DEFAULT true CHECK (one),
    position bigint NOT NULL CHECK (position > 0),
    event_id text NOT NULL
);

-- The person of a contact who is there already, counted as sealed for once more; else the master key in force.
CREATE OR REPLACE FUNCTION vault.known(contact bytea, digests bytea[])
RETURNS TABLE (person text, public_key bytea, master_key_id text, master_public_key bytea)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RETURN QUERY
        UPDATE vault.persons AS p SET values_sealed = p.values_sealed + 1
        WHERE p.contact_digest = contact
        RETURNING p.person, p.public_key, NULL::text, NULL::bytea;
    IF FOUND THEN
        INSERT INTO vault.addresses (digest, person)
            SELECT d, p.person FROM unnest(digests) AS d, vault.persons AS p WHERE p.contact_digest = contact
            ON CONFLICT DO NOTHING;
        RETURN;
    END IF;
    RETURN QUERY
        SELECT NULL::text, NULL::bytea, m.master_key_id, m.public_key FROM vault.master_keys AS m WHERE m.is_current;
END
$$;

-- Adds a person; of two who add the same contact at once, both get the one that came first.  Nothing comes back when
-- the master key was changed meanwhile: then wrap again.
CREATE OR REPLACE FUNCTION vault.enrol(
    contact bytea, digests bytea[], new_person text, new_public_key bytea, new_wrapped_key text, wrapped_with text
)
RETURNS TABLE (person text, public_key bytea)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    found_person text;
    found_key bytea;
BEGIN
    PERFORM 1 FROM vault.master_keys AS m WHERE m.master_key_id = wrapped_with AND m.is_current FOR SHARE;
    IF NOT FOUND THEN
        RETURN;
    END IF;
    INSERT INTO vault.persons AS p (person, contact_digest, public_key, wrapped_key, master_key_id)
        VALUES (new_person, contact, new_public_key, new_wrapped_key, wrapped_with)
        ON CONFLICT (contact_digest) DO UPDATE SET values_sealed = p.values_sealed + 1
        RETURNING p.person, p.public_key INTO found_person, found_key;
    INSERT INTO vault.addresses (digest, person)
        SELECT d, found_person FROM unnest(digests) AS d ON CONFLICT DO NOTHING;
    RETURN QUERY SELECT found_person, found_key;
END
$$;

-- A value that was sealed was not written after all.
CREATE OR REPLACE FUNCTION vault.discard(of_person text)
RETURNS void LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    UPDATE vault.persons AS p SET values_sealed = p.values_sealed - 1
        WHERE p.person = of_person AND p.values_sealed > 1;
    IF NOT FOUND THEN
        DELETE FROM vault.persons AS p WHERE p.person = of_person AND p.erased_at IS NULL;
    END IF;
END
$$;

-- Destroys a person's keys and everything by which they could be found; whether there was anything to destroy.
CREATE OR REPLACE FUNCTION vault.erase(of_person text)
RETURNS boolean LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    UPDATE vault.persons AS p
        SET contact_digest = NULL, public_key = NULL, wrapped_key = NULL, master_key_id = NULL, erased_at = now()
        WHERE p.person = of_person AND p.erased_at IS NULL;
    IF NOT FOUND THEN
        RETURN false;
    END IF;
    DELETE FROM vault.addresses AS a WHERE a.person = of_person;
    RETURN true;
END
$$;

REVOKE ALL ON ALL TABLES IN SCHEMA vault FROM PUBLIC;
REVOKE ALL ON ALL FUNCTIONS IN SCHEMA vault FROM PUBLIC;

GRANT USAGE ON SCHEMA vault TO whistle_vault_sealer, whistle_vault_opener, whistle_vault_keeper;
GRANT EXECUTE ON FUNCTION vault.known, vault.enrol, vault.discard TO whistle_vault_sealer;
GRANT SELECT (person, wrapped_key, erased_at) ON vault.persons TO whistle_vault_opener;
GRANT SELECT ON ALL TABLES IN SCHEMA vault TO whistle_vault_keeper;
GRANT UPDATE (wrapped_key, master_key_id) ON vault.persons TO whistle_vault_keeper;
GRANT INSERT, UPDATE, DELETE ON vault.master_keys TO whistle_vault_keeper;
GRANT INSERT, UPDATE ON vault.carried_out TO whistle_vault_keeper;
GRANT EXECUTE ON FUNCTION vault.erase TO whistle_vault_keeper;
