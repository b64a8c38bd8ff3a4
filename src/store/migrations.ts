/**
 * Migrations, oldest first. A database whose version is newer than the last one here is
 * refused at start. Never change a migration that has been released: add one.
 */
import { sql, type Kysely, type Migration } from "kysely";
import type { Schema } from "./schema.ts";

/** Statements are split at blank lines, so that a reader sees the tables as SQL. */
async function run(db: Kysely<Schema>, script: string): Promise<void> {
  for (const statement of script.split(/\n\s*\n/))
    if (statement.trim() !== "") await sql.raw(statement).execute(db);
}

const FIRST = `
create table meta (Name text primary key, Value text not null) strict

create table vpcs (VpcId text primary key, CidrBlock text not null) strict

create table subnets (
  SubnetId text primary key, VpcId text not null, AvailabilityZone text not null,
  CidrBlock text not null, Occupied integer not null default 0) strict

create table security_groups (
  GroupId text primary key, VpcId text not null, GroupName text not null,
  Description text not null, Rules text not null) strict

create table network_interfaces (
  NetworkInterfaceId text primary key, SubnetId text not null, PrivateIpAddress text not null,
  Description text not null, Groups text not null,
  unique (SubnetId, PrivateIpAddress)) strict

create table clusters (
  ClusterId text primary key, State text not null, StateMessage text, HsmType text not null,
  VpcId text not null, SubnetMapping text not null, SecurityGroup text not null,
  BackupRetentionValue text not null, NetworkType text not null, Mode text not null,
  CreateTimestamp real not null, SourceBackupId text, Certificates text not null,
  TrustAnchor text, TokenSerial text, SoPinSealed blob, PendingPinSealed blob,
  PendingPinRole text, TagList text not null) strict

create table hsms (
  HsmId text primary key, ClusterId text not null references clusters (ClusterId),
  AvailabilityZone text not null, SubnetId text not null, EniId text not null, EniIp text not null,
  HsmType text not null, State text not null, StateMessage text, CreateTimestamp real not null) strict

create index hsms_by_cluster on hsms (ClusterId)

create table hsm_users (
  ClusterId text not null references clusters (ClusterId), Username text not null, Role text not null,
  PasswordHash text, FailedLogins integer not null, Deleted integer not null default 0,
  primary key (ClusterId, Username)) strict

create table operator_sessions (
  TokenHash text primary key, SessionId text not null unique,
  ClusterId text not null references clusters (ClusterId), Username text not null,
  Role text not null, PasswordSealed blob not null, LastUsed real not null) strict

create table key_stores (
  CustomKeyStoreId text primary key, CustomKeyStoreName text not null unique,
  CloudHsmClusterId text not null, TrustAnchorCertificate text not null,
  ClusterCertificate text not null, ConnectionState text not null, ConnectionErrorCode text, CreationDate real not null,
  PasswordSealed blob not null, PendingSealed blob, PasswordGeneration integer not null) strict

create table former_passwords (
  CustomKeyStoreId text not null references key_stores (CustomKeyStoreId) on delete cascade,
  PasswordGeneration integer not null, PasswordSealed blob not null, ReplacedAt real not null,
  primary key (CustomKeyStoreId, PasswordGeneration)) strict

create table keys (
  KeyId text primary key, CustomKeyStoreId text not null references key_stores (CustomKeyStoreId),
  BackingKeyId text not null unique, Description text not null, Enabled integer not null,
  CreationDate real not null, DeletionDate real, Canary blob not null,
  EncryptionsReserved integer not null, Tags text not null, Policy text not null) strict

create index keys_by_store on keys (CustomKeyStoreId)

create index keys_by_deletion on keys (DeletionDate) where DeletionDate is not null

create table key_intents (
  BackingKeyId text primary key, Kind text not null, KeyId text not null, KeyArn text not null,
  CustomKeyStoreId text not null, ClusterId text not null, RecordedAt real not null) strict

create table orphans (
  BackingKeyId text primary key, KeyArn text not null, ClusterId text not null,
  Reason text not null, RecordedAt real not null) strict
`;

const KEY_METADATA = `
create table aliases (
  AliasName text primary key, TargetKeyId text not null references keys (KeyId) on delete cascade,
  CreationDate real not null, LastUpdatedDate real not null) strict

create index aliases_by_key on aliases (TargetKeyId)

create table grants (
  GrantId text primary key, KeyId text not null references keys (KeyId) on delete cascade,
  Name text, GranteePrincipal text not null, RetiringPrincipal text, Operations text not null,
  Constraints text not null, IssuingAccount text not null, CreationDate real not null,
  TokenKey blob not null) strict

create index grants_by_key on grants (KeyId)

alter table keys add column LastUsage text
`;

/** No foreign key: backups outlive their clusters, and copies come from another Region's. */
const BACKUPS = `
create table backups (
  BackupId text primary key, ClusterId text not null, State text not null, CreateTimestamp real not null,
  DeleteTimestamp real, NeverExpires integer not null, HsmType text not null, Mode text not null,
  CopyTimestamp real, SourceRegion text, SourceBackup text, SourceCluster text,
  ClusterState text not null, Certificates text not null, TrustAnchor text, TokenSerial text,
  SoPinSealed blob not null, Users text not null, TagList text not null, ResourcePolicy text) strict

create index backups_by_cluster on backups (ClusterId, CreateTimestamp)
`;

export const MIGRATIONS: Readonly<Record<string, Migration>> = {
  "001-first": { up: (db: Kysely<Schema>) => run(db, FIRST) },
  "002-key-metadata": { up: (db: Kysely<Schema>) => run(db, KEY_METADATA) },
  "003-backups": { up: (db: Kysely<Schema>) => run(db, BACKUPS) },
};
