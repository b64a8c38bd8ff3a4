/**
 * The tables of the state database. Entities keep AWS's member names, so that a wire
 * answer is a projection of a row. Times are virtual milliseconds since the epoch,
 * booleans 0/1, `…Sealed` columns are ciphertexts of the vault, JSON columns say so.
 *
 * KeyState is not here: it is derived from the key and its store's connection state.
 */
import type { ColumnType, Generated } from "kysely";

/** A JSON document; the repositories parse and print it. */
type Json = string;
type Bytes = ColumnType<Buffer, Uint8Array, Uint8Array>;

interface MetaTable {
  Name: string;
  Value: string;
}

interface VpcTable {
  VpcId: string;
  CidrBlock: string;
}

interface SubnetTable {
  SubnetId: string;
  VpcId: string;
  AvailabilityZone: string;
  CidrBlock: string;
  /** Addresses taken by things outside keystead (the management API's "fill"); they count as used. */
  Occupied: number;
}

interface SecurityGroupTable {
  GroupId: string;
  VpcId: string;
  GroupName: string;
  Description: string;
  /** JSON: SecurityGroupRule[] */
  Rules: Json;
}

interface NetworkInterfaceTable {
  NetworkInterfaceId: string;
  SubnetId: string;
  PrivateIpAddress: string;
  Description: string;
  /** JSON: security group ids */
  Groups: Json;
}

export interface ClusterTable {
  ClusterId: string;
  State: string;
  StateMessage: string | null;
  HsmType: string;
  VpcId: string;
  /** JSON: Availability Zone → subnet id */
  SubnetMapping: Json;
  SecurityGroup: string;
  /** Retention in days, as text, as the API has it. */
  BackupRetentionValue: string;
  NetworkType: string;
  Mode: string;
  CreateTimestamp: number;
  SourceBackupId: string | null;
  /** JSON: the Certificates structure as the API returns it */
  Certificates: Json;
  /** PEM given to InitializeCluster; never returned by the CloudHSM API. */
  TrustAnchor: string | null;
  /** Serial number of the cluster's token, set by C_InitToken. */
  TokenSerial: string | null;
  /** SO PIN of the token, that is the admin's password. */
  SoPinSealed: Bytes | null;
  /** A SO PIN or user PIN about to be set (write-ahead), with the role it is for. */
  PendingPinSealed: Bytes | null;
  PendingPinRole: string | null;
  /** JSON: {Key,Value}[] */
  TagList: Json;
}

export interface HsmTable {
  HsmId: string;
  ClusterId: string;
  AvailabilityZone: string;
  SubnetId: string;
  EniId: string;
  EniIp: string;
  HsmType: string;
  State: string;
  StateMessage: string | null;
  CreateTimestamp: number;
}

export interface HsmUserTable {
  ClusterId: string;
  Username: string;
  /** admin | crypto-user */
  Role: string;
  /** scrypt hash of users that are records only; null for admin and kmsuser, whose password the token checks. */
  PasswordHash: string | null;
  /** Failed logins since the last good one or the last password change; five lock the user. */
  FailedLogins: number;
  /** 1 when the user was deleted but the token still has a (random) user PIN in its place. */
  Deleted: Generated<number>;
}

export interface BackupTable {
  BackupId: string;
  /** The cluster that was backed up; of a copy from another Region, the cluster there. */
  ClusterId: string;
  State: string;
  CreateTimestamp: number;
  DeleteTimestamp: number | null;
  /** 1 when the retention policy does not apply. */
  NeverExpires: number;
  HsmType: string;
  Mode: string;
  /** Of a copy from another Region. */
  CopyTimestamp: number | null;
  SourceRegion: string | null;
  SourceBackup: string | null;
  SourceCluster: string | null;
  /** State of the cluster as of the backup: ACTIVE, or INITIALIZED when it was not activated. */
  ClusterState: string;
  /** JSON: the Certificates structure of the cluster */
  Certificates: Json;
  TrustAnchor: string | null;
  TokenSerial: string | null;
  /** SO PIN of the copied token. */
  SoPinSealed: Bytes;
  /** JSON: the cluster's rows of hsm_users, without the cluster's id */
  Users: Json;
  /** JSON: {Key,Value}[] */
  TagList: Json;
  /** JSON document of PutResourcePolicy. */
  ResourcePolicy: string | null;
}

export interface OperatorSessionTable {
  /** SHA-256 of the session's token, hexadecimal. */
  TokenHash: string;
  SessionId: string;
  ClusterId: string;
  Username: string;
  Role: string;
  /** The password the session logged in with: each of its commands is a C_Login of its own. */
  PasswordSealed: Bytes;
  LastUsed: number;
}

export interface KeyStoreTable {
  CustomKeyStoreId: string;
  CustomKeyStoreName: string;
  CloudHsmClusterId: string;
  TrustAnchorCertificate: string;
  /** The cluster's certificate at creation: clusters with the same one share a backup history. */
  ClusterCertificate: string;
  ConnectionState: string;
  ConnectionErrorCode: string | null;
  CreationDate: number;
  /** The password a connect tries: the user's last KeyStorePassword, or the last rotated one. */
  PasswordSealed: Bytes;
  /** Write-ahead of a rotation: the password about to be set (architecture, *Connect*). */
  PendingSealed: Bytes | null;
  /** Grows with every password recorded; part of the seal's associated data. */
  PasswordGeneration: number;
}

/** Passwords that were replaced; kept sealed so that none is lost, never used by a connect. */
interface FormerPasswordTable {
  CustomKeyStoreId: string;
  PasswordGeneration: number;
  PasswordSealed: Bytes;
  ReplacedAt: number;
}

export interface KeyTable {
  KeyId: string;
  CustomKeyStoreId: string;
  BackingKeyId: string;
  Description: string;
  /** The user's wish, whatever the store's state: 1 Enabled, 0 Disabled. */
  Enabled: number;
  CreationDate: number;
  DeletionDate: number | null;
  /** A ciphertext made on the token at creation; decrypting it proves the key is the right one. */
  Canary: Bytes;
  /** Encryptions reserved so far, in blocks of 65,536 (random-IV limit 2^32, SP 800-38D). */
  EncryptionsReserved: number;
  /** JSON: {TagKey,TagValue}[] */
  Tags: Json;
  Policy: string;
  /** JSON: the last cryptographic use, written now and then and at the end, not per request. */
  LastUsage: Json | null;
}

export interface AliasTable {
  AliasName: string;
  TargetKeyId: string;
  CreationDate: number;
  LastUpdatedDate: number;
}

export interface GrantTable {
  GrantId: string;
  KeyId: string;
  Name: string | null;
  GranteePrincipal: string;
  RetiringPrincipal: string | null;
  /** JSON: names of operations */
  Operations: Json;
  /** JSON: {EncryptionContextSubset?, EncryptionContextEquals?}, each a list of pairs */
  Constraints: Json;
  /** ARN of the account whose principal created it. */
  IssuingAccount: string;
  CreationDate: number;
  /** Authenticates the grant tokens of this grant, so that none needs a row of its own. */
  TokenKey: Bytes;
}

/** Intent journal: written before the irreversible act on the token, gone after it is settled. */
interface KeyIntentTable {
  BackingKeyId: string;
  /** create | destroy */
  Kind: string;
  KeyId: string;
  KeyArn: string;
  CustomKeyStoreId: string;
  ClusterId: string;
  RecordedAt: number;
}

/** Key material that outlived its KMS key (AWS: orphaned key material); reported, never removed. */
interface OrphanTable {
  BackingKeyId: string;
  KeyArn: string;
  ClusterId: string;
  Reason: string;
  RecordedAt: number;
}

export interface Schema {
  meta: MetaTable;
  vpcs: VpcTable;
  subnets: SubnetTable;
  security_groups: SecurityGroupTable;
  network_interfaces: NetworkInterfaceTable;
  clusters: ClusterTable;
  hsms: HsmTable;
  hsm_users: HsmUserTable;
  backups: BackupTable;
  operator_sessions: OperatorSessionTable;
  key_stores: KeyStoreTable;
  former_passwords: FormerPasswordTable;
  keys: KeyTable;
  aliases: AliasTable;
  grants: GrantTable;
  key_intents: KeyIntentTable;
  orphans: OrphanTable;
}
