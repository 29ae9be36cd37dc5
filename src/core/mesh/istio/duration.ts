/**
 * A duration as Istio's validation takes it: protobuf's JSON form, whole milliseconds and never zero, which no policy
 * asks for.
 */
export function istioDuration(ms: number): string {
  return ms % 1_000 === 0 ? `${ms / 1_000}s` : `${(ms / 1_000).toFixed(3)}s`;
}
