const OCTET = "(25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])";
const IPV4 = new RegExp(`^${OCTET}([.]${OCTET}){3}$`);
const PREFIX_LENGTH = /^(0|[1-9][0-9]{0,2})$/;
const IPV6_GROUP = /^[0-9a-fA-F]{1,4}$/;
const IPV6_GROUPS = 8;

/** A network in the notation of Kubernetes' `isCIDR`, without the one that mixes both families (`::1.2.3.4/128`). */
export function isCidr(text: string): boolean {
  const [address = "", length = "", ...more] = text.split("/");
  if (more.length > 0 || !PREFIX_LENGTH.test(length)) return false;
  return address.includes(":") ? isIpv6(address) && Number(length) <= 128 : IPV4.test(address) && Number(length) <= 32;
}

function isIpv6(text: string): boolean {
  const [head = [], tail, ...more] = text.split("::").map((part) => (part === "" ? [] : part.split(":")));
  const groups = [...head, ...(tail ?? [])];
  if (more.length > 0 || !groups.every((group) => IPV6_GROUP.test(group))) return false;
  if (tail === undefined) return groups.length === IPV6_GROUPS && !isMapped(groups);
  if (groups.length >= IPV6_GROUPS) return false;
  const zeros = Array.from({ length: IPV6_GROUPS - groups.length }, () => "0");
  return !isMapped([...head, ...zeros, ...tail]);
}

/** An address of IPv4 in that of IPv6, `::ffff:a00:1`, which neither Kubernetes nor a client means. */
function isMapped(groups: readonly string[]): boolean {
  const values = groups.map((group) => Number.parseInt(group, 16));
  return values.slice(0, 5).every((value) => value === 0) && values[5] === 0xffff;
}
