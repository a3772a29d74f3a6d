<?php
/** The return path of a message to $recipient; needs intl. Quotes only where an address needs them. */
function mint(int $keyId, string $keyHex, string $recipient, string $domain, int $stream = 0): string
{
    $digest = fn (string $text): string => hash_hmac('sha256', $text, hex2bin($keyHex), true);
    $at = strrpos($recipient, '@');
    $host = idn_to_ascii(substr($recipient, $at + 1), IDNA_NONTRANSITIONAL_TO_ASCII, INTL_IDNA_VARIANT_UTS46);
    if (!$at || !$host) {
        throw new InvalidArgumentException("no address: $recipient");
    }
    $lower = fn (array $letters): string => transliterator_transliterate('Lower', $letters[0]);
    $local = preg_replace_callback('/[^\x{03f4}\x{2126}\x{212a}\x{212b}]+/u', $lower, substr($recipient, 0, $at));
    $form = $local . '@' . $host;
    $token = pack('Cn', 16 | $keyId, intdiv(time(), 86400)) . substr(pack('N', $stream), 1);
    $token .= substr($digest("dsnd-rcpt\0" . $form), 0, 6);
    $token .= substr($digest("dsnd-token\0" . $token), 0, 8);
    $bits = '';
    foreach (str_split($token) as $octet) {
        $bits .= sprintf('%08b', ord($octet));
    }
    $letters = array_map(fn ($five) => 'abcdefghijklmnopqrstuvwxyz234567'[bindec($five)], str_split($bits, 5));
    return 'b-' . implode('', $letters) . '@' . $domain;
}
