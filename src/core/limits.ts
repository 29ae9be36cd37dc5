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
