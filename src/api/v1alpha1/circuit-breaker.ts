import * as z from "zod";
import { duration, integer } from "./common.ts";

/** `spec.circuitBreaker`. How the two penalties relate is checked in core/intent, where the defaults are known. */
export const circuitBreaker = z
  .strictObject({
    enabled: z.exactOptional(
      z.boolean().meta({
        description:
          "false removes the circuit breaker from the targets. Absent means true, so that {} is a circuit breaker " +
          "with every default.",
      }),
    ),
    consecutiveFailures: z.exactOptional(
      integer(
        1,
        65_535,
        "How many failures in a row shut an endpoint out, 1 to 65535. A failure is a 5xx answer, a failed gRPC call " +
          "or a broken connection. Every client proxy counts for itself. Absent means 7. On Linkerd " +
          "failure-accrual-consecutive-max-failures, on Istio consecutive5xxErrors. Example: 5.",
      ),
    ),
    minPenalty: z.exactOptional(
      duration(
        "How long an endpoint stays shut out the first time. Absent means 1s. Linkerd doubles it after each failed " +
          "probe, up to maxPenalty; Istio lengthens it by one minPenalty with each ejection (baseEjectionTime). " +
          'Example: "1s".',
      ),
    ),
    maxPenalty: z.exactOptional(
      duration(
        "The longest time that an endpoint stays shut out; not below minPenalty. Absent means 60s (1m). " +
          'Linkerd only: Istio\'s limit cannot be set. Example: "1m".',
      ),
    ),
    jitterPercent: z.exactOptional(
      integer(
        0,
        100,
        "By how much the penalties vary at random, in percent, 0 to 100, so that clients do not probe all at once. " +
          "Absent means 50. Linkerd only, as the ratio jitterPercent / 100. Example: 20.",
      ),
    ),
    maxEjectionPercent: z.exactOptional(
      integer(
        0,
        100,
        "The largest part of the endpoints that may be shut out at once, in percent, 0 to 100. Istio only, and worth " +
          "setting there where not every endpoint may go: absent means 100, like Linkerd, because Istio's own default of 10 " +
          "percent never ejects below ten endpoints. Linkerd has no such limit, so there the field only gives a warning. " +
          "Example: 50.",
      ),
    ),
  })
  .meta({
    description:
      "Stops sending to an endpoint that fails many times in a row, and probes it later. Acts on Services only: no mesh " +
      "has a circuit breaker for one route. {} is a circuit breaker with every default. On Linkerd it becomes the " +
      "annotations balancer.linkerd.io/failure-accrual* of the Service, on Istio the outlierDetection of a " +
      "DestinationRule. Absent: nothing is changed.",
  });
