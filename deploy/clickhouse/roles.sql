-- Roles with the least that each needs. Nobody has ALTER, DELETE, TRUNCATE or DROP in daily work but the schema role, whose use should raise an
-- alarm. With a cluster, run it on every node (or keep users in a replicated access storage), and grant REMOTE where a role reads Distributed tables.
-- Users get a role each: CREATE USER web_1 IDENTIFIED WITH sha256_password BY '...' DEFAULT ROLE aio_agent;

-- Agents add rows. They read the columns of the tables and which migrations are there, nothing of what is stored.
CREATE ROLE IF NOT EXISTS aio_agent;
GRANT INSERT ON ai_evidence.ai_interactions TO aio_agent;
GRANT INSERT ON ai_evidence.ai_findings TO aio_agent;
GRANT INSERT ON ai_evidence.ai_connections TO aio_agent;
GRANT INSERT ON ai_evidence.blind_spots TO aio_agent;
GRANT INSERT ON ai_evidence.evidence_seals TO aio_agent;
GRANT INSERT ON ai_evidence.ai_payloads TO aio_agent;
GRANT INSERT ON ai_evidence.host_keys TO aio_agent;
-- Policies and registers, when one comes into force.
GRANT INSERT ON ai_evidence.governance_files TO aio_agent;
GRANT INSERT ON ai_evidence.ai_register TO aio_agent;
GRANT SELECT ON ai_evidence.schema_migrations TO aio_agent;

-- Analysts read use and findings, and say what became of findings.
CREATE ROLE IF NOT EXISTS aio_analyst;
GRANT SELECT ON ai_evidence.ai_interactions TO aio_analyst;
GRANT SELECT ON ai_evidence.ai_findings TO aio_analyst;
GRANT SELECT ON ai_evidence.ai_connections TO aio_analyst;
GRANT SELECT ON ai_evidence.blind_spots TO aio_analyst;
GRANT SELECT ON ai_evidence.ai_usage_hourly TO aio_analyst;
GRANT SELECT ON ai_evidence.ai_register TO aio_analyst;
GRANT SELECT, INSERT ON ai_evidence.finding_dispositions TO aio_analyst;

-- Auditors read everything but payloads, and write nothing. `observer coverage`, `observer report` and `observer export` need this role.
CREATE ROLE IF NOT EXISTS aio_auditor;
GRANT SELECT ON ai_evidence.ai_interactions TO aio_auditor;
GRANT SELECT ON ai_evidence.ai_findings TO aio_auditor;
GRANT SELECT ON ai_evidence.ai_connections TO aio_auditor;
GRANT SELECT ON ai_evidence.blind_spots TO aio_auditor;
GRANT SELECT ON ai_evidence.evidence_seals TO aio_auditor;
GRANT SELECT ON ai_evidence.evidence_anchors TO aio_auditor;
GRANT SELECT ON ai_evidence.host_keys TO aio_auditor;
GRANT SELECT ON ai_evidence.host_inventory TO aio_auditor;
GRANT SELECT ON ai_evidence.ai_register TO aio_auditor;
GRANT SELECT ON ai_evidence.governance_files TO aio_auditor;
GRANT SELECT ON ai_evidence.finding_dispositions TO aio_auditor;
GRANT SELECT ON ai_evidence.verification_runs TO aio_auditor;
GRANT SELECT ON ai_evidence.schema_migrations TO aio_auditor;
GRANT SELECT ON ai_evidence.ai_usage_hourly TO aio_auditor;

-- The verifier reads as an auditor does, and notes its runs (`observer verify --record`).
CREATE ROLE IF NOT EXISTS aio_verifier;
GRANT aio_auditor TO aio_verifier;
GRANT INSERT ON ai_evidence.verification_runs TO aio_verifier;

-- The notary reads seals and adds anchors (`observer anchor`).
CREATE ROLE IF NOT EXISTS aio_notary;
GRANT SELECT ON ai_evidence.evidence_seals TO aio_notary;
GRANT SELECT, INSERT ON ai_evidence.evidence_anchors TO aio_notary;
GRANT SELECT, INSERT ON ai_evidence.host_keys TO aio_notary;

-- Break glass: redacted texts, where they are kept at all. Grant it for a time and a case.
CREATE ROLE IF NOT EXISTS aio_payload;
GRANT SELECT ON ai_evidence.ai_payloads TO aio_payload;

-- Owners of registers.
CREATE ROLE IF NOT EXISTS aio_governance;
GRANT SELECT, INSERT ON ai_evidence.ai_register TO aio_governance;
CREATE ROLE IF NOT EXISTS aio_inventory;
GRANT SELECT, INSERT ON ai_evidence.host_inventory TO aio_inventory;

-- Migrations only.
CREATE ROLE IF NOT EXISTS aio_schema;
GRANT CREATE, ALTER ADD COLUMN, ALTER MODIFY COLUMN, ALTER TTL ON ai_evidence.* TO aio_schema;
GRANT DROP VIEW ON ai_evidence.* TO aio_schema;
GRANT SELECT ON ai_evidence.* TO aio_schema;
GRANT INSERT ON ai_evidence.schema_migrations TO aio_schema;
