/** Shapes that several BaldrApiService operations share, as the API model has them. */
import { integer, list, map, oneOf, optional, string, structure } from "../core/shape.ts";

export const clusterId = string({ pattern: "cluster-[2-7a-zA-Z]{11,16}" });
export const hsmId = string({ pattern: "hsm-[2-7a-zA-Z]{11,16}" });
export const backupId = string({ pattern: "backup-[2-7a-zA-Z]{11,16}" });
export const backupArn = string({
  pattern:
    "^(arn:aws(-(us-gov))?:cloudhsm:([a-z]{2}(-(gov|isob|iso))?-(east|west|north|south|central){1,2}-[0-9]{1}):[0-9]{12}:backup/)?backup-[2-7a-zA-Z]{11,16}",
});
export const cloudHsmArn = string({
  pattern:
    "arn:aws(-(us-gov))?:cloudhsm:([a-z]{2}(-(gov|isob|iso))?-(east|west|north|south|central){1,2}-[0-9]{1}):[0-9]{12}:(backup/backup|cluster/cluster|hsm/hsm)-[2-7a-zA-Z]{11,16}",
});
export const resourceId = string({ pattern: "(?:cluster|backup)-[2-7a-zA-Z]{11,16}" });
export const resourcePolicy = string({ min: 1, max: 20000 });
export const eniId = string({ pattern: "eni-[0-9a-fA-F]{8,17}" });
export const subnetId = string({ pattern: "subnet-[0-9a-fA-F]{8,17}" });
export const ipAddress = string({ pattern: "\\d{1,3}\\.\\d{1,3}\\.\\d{1,3}\\.\\d{1,3}" });
export const availabilityZone = string({
  pattern: "[a-z]{2}(-(gov))?-(east|west|north|south|central){1,2}-\\d[a-z]",
});
export const regionName = string({ pattern: "[a-z]{2}(-(gov))?-(east|west|north|south|central){1,2}-\\d" });
export const hsmType = string({ max: 32, pattern: "((p|)hsm[0-9][a-z.]*\\.[a-zA-Z]+)" });
export const cert = string({ max: 20000, pattern: "[a-zA-Z0-9+-/=\\s]*" });
export const networkType = oneOf("IPV4", "DUALSTACK");
export const mode = oneOf("FIPS", "NON_FIPS");
export const nextToken = string({ max: 256, pattern: ".*" });

export const backupRetentionPolicy = structure({
  Type: optional(oneOf("DAYS")),
  Value: optional(string({ min: 1, max: 3, pattern: "[0-9]+" })),
});
export const filters = map(string({ pattern: "[a-zA-Z0-9_-]+" }), list(string()), { max: 30 });

const TAG_TEXT = "^([\\p{L}\\p{Z}\\p{N}_.:/=+\\-@]*)$";
const tagKey = string({ min: 1, max: 128, pattern: TAG_TEXT });
export const tagList = list(
  structure({ Key: tagKey, Value: string({ min: 0, max: 256, pattern: TAG_TEXT }) }),
  {
    min: 1,
    max: 50,
  },
);
export const tagKeyList = list(tagKey, { min: 1, max: 50 });
export const atMost = (max: number): ReturnType<typeof integer> => integer({ min: 1, max });
