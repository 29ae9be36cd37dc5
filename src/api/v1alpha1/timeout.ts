import * as z from "zod";
import { withRules } from "../rule.ts";
import { duration } from "./common.ts";

const timeoutFields = z.strictObject({
  request: z.exactOptional(
    duration(
      "How long a request may take from its start to the end of the response, all retries included. Absent: no limit. " +
        'On Linkerd timeout.linkerd.io/request, on Istio the timeout of the VirtualService. Example: "2s500ms".',
    ),
  ),
  response: z.exactOptional(
    duration(
      "How long the response of one try may take, from the end of the request to the end of the response. Absent: no " +
        'limit. Linkerd only (timeout.linkerd.io/response); refused on Istio. Example: "1s".',
    ),
  ),
  idle: z.exactOptional(
    duration(
      "How long a request may stay without any data in either direction. Absent: no limit. Linkerd only " +
        '(timeout.linkerd.io/idle); refused on Istio, whose idle timeout is one of connections. Example: "30s".',
    ),
  ),
});

/** `spec.timeout`. */
export const timeout = withRules(timeoutFields, [
  {
    cel: "has(self.request) || has(self.response) || has(self.idle)",
    holds: (timeout) => timeout.request !== undefined || timeout.response !== undefined || timeout.idle !== undefined,
    wanted: "at least one of request, response and idle",
    found: () => "none of them",
    fix: "add the limit you want, for example request: 5s, or remove timeout",
  },
]).meta({
  description:
    "Ends requests that take too long, with status 504. At least one of request, response and idle is needed. Absent: " +
    "nothing is changed, and neither mesh has a limit by default.",
});
