/** Most warnings of one answer; the API server cuts all warnings of a request at 4,096 characters (docs/architecture.md). */
export const WARNINGS_MAX = 15;
/** Longest warning; kubectl and the API server show one line only (docs/architecture.md). */
export const WARNING_LENGTH_MAX = 200;
/** `TotalAnnotationSizeLimitB` of k8s.io/apimachinery/pkg/api/validation: keys and values together, in bytes. */
export const ANNOTATIONS_BYTES_MAX = 256 * 1024;
/** Longest found value that a message repeats; longer ones are cut. */
export const QUOTED_LENGTH_MAX = 60;
/** So many problems of one record are reported; a forged one may hold thousands, and all have the same fix. */
export const RECORD_PROBLEMS_MAX = 8;
/** Hexadecimal digits of a revision: 48 bits of SHA-256, one collision in 16 million revisions of one policy. */
export const REVISION_LENGTH = 12;
/** Targets of a policy that are checked while it is admitted; the rest shows when they are written. */
export const POLICY_TARGETS_CHECKED_MAX = 100;
/** Stored revisions of one policy, as Deployments keep ten ReplicaSets (`revisionHistoryLimit`). */
export const REVISIONS_KEPT_MAX = 10;
/** DNS subdomain (RFC 1123), the widest name that an object may have. */
export const OBJECT_NAME_LENGTH_MAX = 253;
/** `message` of a condition, in characters: `maxLength` of metav1.Condition and of the CRD. */
export const CONDITION_MESSAGE_LENGTH_MAX = 32_768;
/** `status.appliedToServices`: `maxItems` of the CRD. */
export const APPLIED_SERVICES_MAX = 100;
/** Objects that one message names; the rest is a count. */
export const NAMES_SHOWN_MAX = 5;
/** Longest error of the API server or of another webhook that a status repeats. */
export const ERROR_LENGTH_MAX = 500;
/** How long a deletion waits for the targets to be cleaned; afterwards they are found by their records all the same. */
export const CLEAN_UP_WAIT_MS = 60_000;
/** Results of one report; the rest is a count. With messages of {@link REPORT_MESSAGE_LENGTH_MAX} well below etcd's 1.5 MiB. */
export const REPORT_RESULTS_MAX = 500;
/** Longest message of a result in a report. */
export const REPORT_MESSAGE_LENGTH_MAX = 1_000;
