import * as z from "zod";
import { hint } from "../hints.ts";
import { show } from "../problem.ts";
import { withKeyword, withRules } from "../rule.ts";
import { duration, integer } from "./common.ts";
import { unique } from "./lists.ts";

const STATUS_CODE = /^([1-5][0-9]{2}(-[1-5][0-9]{2})?|5xx|gateway-error)$/;
const STATUS_CODE_LENGTH_MAX = 13;
const STATUS_CODES_MAX = 32;
const GRPC_CODES = ["cancelled", "deadline-exceeded", "internal", "resource-exhausted", "unavailable"] as const;

const STATUS_CODE_WANTED = 'a status code such as "503", a range such as "500-504", "5xx" or "gateway-error"';
const STATUS_CODE_FIX = 'write one code from 100 to 599 or one of these forms, as a string in quotes, such as "429"';

const statusCode = hint(
  withRules(
    z
      .string()
      .max(STATUS_CODE_LENGTH_MAX)
      .meta({ description: 'One code "429", a range "500-504", "5xx", or "gateway-error", which is 502 to 504.' }),
    [
      {
        cel: `self.matches('${STATUS_CODE.source}')`,
        holds: (code) => STATUS_CODE.test(code),
        wanted: STATUS_CODE_WANTED,
        found: show,
        fix: STATUS_CODE_FIX,
      },
      {
        // Three digits on both sides, so comparing the texts compares the numbers and substring cannot fail.
        cel: "!self.matches('^[0-9]{3}-[0-9]{3}$') || self.substring(0, 3) <= self.substring(4, 7)",
        holds: (code) => !/^[0-9]{3}-[0-9]{3}$/.test(code) || code.slice(0, 3) <= code.slice(4, 7),
        wanted: "a range that goes up",
        found: show,
        fix: "write the lower code first",
      },
    ],
  ),
  { wanted: STATUS_CODE_WANTED, fix: STATUS_CODE_FIX },
);

const retryFields = z.strictObject({
  maxAttempts: integer(
    0,
    10,
    "How many times a request is tried again after the first try, 0 to 10. Required. 0 means none. On Linkerd it writes no " +
      "retry setting, and retry annotations that people wrote stay, with a warning. On Linkerd retry.linkerd.io/limit, on Istio attempts. " +
      "Example: 2.",
  ),
  statusCodes: z.exactOptional(
    withKeyword(z.array(statusCode).min(1).max(STATUS_CODES_MAX), { "x-kubernetes-list-type": "set" }, [
      unique("each status code once"),
    ]).meta({
      description:
        'HTTP answers that are tried again: 1 to 32 strings, each one code "429", a range "500-504", "5xx", or ' +
        '"gateway-error", which is 502 to 504. Absent: no answer is retried because of its HTTP status. ' +
        "On Linkerd retry.linkerd.io/http, where 5xx also covers the 502 and 504 that the proxy itself makes for " +
        "connection errors and timeouts; on Istio retryOn, where 5xx also covers resets and disconnects. " +
        "At least one of statusCodes and grpcCodes is needed when maxAttempts is above 0. " +
        'Example: ["5xx", "429"].',
    }),
  ),
  grpcCodes: z.exactOptional(
    withKeyword(
      z
        .array(z.enum(GRPC_CODES).meta({ description: "A gRPC status in lower case." }))
        .min(1)
        .max(GRPC_CODES.length),
      { "x-kubernetes-list-type": "set" },
      [unique("each gRPC status once")],
    ).meta({
      description:
        `gRPC statuses that are tried again, in lower case: ${GRPC_CODES.join(", ")}; neither mesh can retry on any ` +
        "other. Absent: no call is retried because of its gRPC status. On Linkerd retry.linkerd.io/grpc, for a Service " +
        "or GRPCRoute; on Istio words of retryOn. Example: [unavailable].",
    }),
  ),
  timeout: z.exactOptional(
    duration(
      "How long one try may take before it is given up and tried again. Absent: tries have no limit of their own. " +
        "On Linkerd retry.linkerd.io/timeout: the time until the response headers, without effect on the last try. On " +
        'Istio perTryTimeout: the time of the whole try. Should be well below timeout.request. Example: "300ms".',
    ),
  ),
});

/** `spec.retry`. */
export const retry = withRules(retryFields, [
  {
    cel: "self.maxAttempts == 0 || has(self.statusCodes) || has(self.grpcCodes)",
    holds: (retry) => retry.maxAttempts === 0 || retry.statusCodes !== undefined || retry.grpcCodes !== undefined,
    wanted: "at least one of statusCodes and grpcCodes when maxAttempts is above 0",
    found: () => "neither statusCodes nor grpcCodes",
    fix: 'add what is to be retried, for example statusCodes: ["5xx"]',
    reads: ["maxAttempts"],
  },
]).meta({
  description:
    "Tries a failed request again. Both meshes retry every HTTP method: retry only what is safe to repeat. Linkerd " +
    "does not retry requests with a body above 64 KiB. Absent: nothing is changed, and then Linkerd does not retry, while " +
    "Istio retries twice by default.",
});
