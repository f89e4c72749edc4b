-- Roles with the least that each needs. Nobody has ALTER, DELETE, TRUNCATE or DROP in daily work but the schema role, whose use should raise an
-- alarm. With a cluster, run it on every node (or keep users in a replicated access storage), and grant REMOTE where a role reads Distributed tables.
-- Who reads a view needs the right to read it and what is below it, so each reader has both. Repeatable: run it again after the schema got newer.
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
-- The views over these.
GRANT SELECT ON ai_evidence.v_interactions TO aio_analyst;
GRANT SELECT ON ai_evidence.pv_interactions TO aio_analyst;
GRANT SELECT ON ai_evidence.v_findings TO aio_analyst;
GRANT SELECT ON ai_evidence.pv_findings TO aio_analyst;
GRANT SELECT ON ai_evidence.v_connections TO aio_analyst;
GRANT SELECT ON ai_evidence.pv_connections TO aio_analyst;
GRANT SELECT ON ai_evidence.v_blind_spots TO aio_analyst;
GRANT SELECT ON ai_evidence.pv_blind_spots TO aio_analyst;
GRANT SELECT ON ai_evidence.v_records TO aio_analyst;
GRANT SELECT ON ai_evidence.v_register TO aio_analyst;
GRANT SELECT ON ai_evidence.v_accounts TO aio_analyst;
GRANT SELECT ON ai_evidence.v_first_seen TO aio_analyst;
GRANT SELECT ON ai_evidence.pv_new TO aio_analyst;
GRANT SELECT ON ai_evidence.pv_went_dark TO aio_analyst;
GRANT SELECT ON ai_evidence.v_agent_sessions TO aio_analyst;
GRANT SELECT ON ai_evidence.v_requests TO aio_analyst;
GRANT SELECT ON ai_evidence.pv_requests TO aio_analyst;
GRANT SELECT ON ai_evidence.v_enforcement TO aio_analyst;
GRANT SELECT ON ai_evidence.pv_gateway_calls TO aio_analyst;

-- Auditors read everything but payloads, and write nothing. `observer coverage`, `observer report`, `observer export` and the dashboards need this role.
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
-- All views.
GRANT SELECT ON ai_evidence.v_interactions TO aio_auditor;
GRANT SELECT ON ai_evidence.pv_interactions TO aio_auditor;
GRANT SELECT ON ai_evidence.v_findings TO aio_auditor;
GRANT SELECT ON ai_evidence.pv_findings TO aio_auditor;
GRANT SELECT ON ai_evidence.v_connections TO aio_auditor;
GRANT SELECT ON ai_evidence.pv_connections TO aio_auditor;
GRANT SELECT ON ai_evidence.v_blind_spots TO aio_auditor;
GRANT SELECT ON ai_evidence.pv_blind_spots TO aio_auditor;
GRANT SELECT ON ai_evidence.v_records TO aio_auditor;
GRANT SELECT ON ai_evidence.v_register TO aio_auditor;
GRANT SELECT ON ai_evidence.v_accounts TO aio_auditor;
GRANT SELECT ON ai_evidence.v_first_seen TO aio_auditor;
GRANT SELECT ON ai_evidence.pv_new TO aio_auditor;
GRANT SELECT ON ai_evidence.pv_went_dark TO aio_auditor;
GRANT SELECT ON ai_evidence.v_agent_sessions TO aio_auditor;
GRANT SELECT ON ai_evidence.v_requests TO aio_auditor;
GRANT SELECT ON ai_evidence.pv_requests TO aio_auditor;
GRANT SELECT ON ai_evidence.v_enforcement TO aio_auditor;
GRANT SELECT ON ai_evidence.pv_gateway_calls TO aio_auditor;
GRANT SELECT ON ai_evidence.v_seals TO aio_auditor;
GRANT SELECT ON ai_evidence.pv_seals TO aio_auditor;
GRANT SELECT ON ai_evidence.v_host_keys TO aio_auditor;
GRANT SELECT ON ai_evidence.v_anchors TO aio_auditor;
GRANT SELECT ON ai_evidence.v_governance_files TO aio_auditor;

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
GRANT SELECT ON ai_evidence.v_register TO aio_governance;
CREATE ROLE IF NOT EXISTS aio_inventory;
GRANT SELECT, INSERT ON ai_evidence.host_inventory TO aio_inventory;

-- Migrations only.
CREATE ROLE IF NOT EXISTS aio_schema;
GRANT CREATE, ALTER ADD COLUMN, ALTER MODIFY COLUMN, ALTER TTL ON ai_evidence.* TO aio_schema;
GRANT DROP VIEW ON ai_evidence.* TO aio_schema;
GRANT SELECT ON ai_evidence.* TO aio_schema;
GRANT INSERT ON ai_evidence.schema_migrations TO aio_schema;
-- The hourly view writes there, with the rights of who made it.
GRANT INSERT ON ai_evidence.ai_usage_hourly TO aio_schema;
