//! Words that bounces of any family are told by.

use std::sync::LazyLock;

use regex::Regex;

use super::text::pattern;

/// Words of failure, in lower case.
pub(in crate::report) static FAILURE: LazyLock<Regex> = LazyLock::new(|| {
    pattern(
        r"(?:(?:not|n't|never|unable to|failed to|impossible to) (?:yet |be |been |get |have |reach |possible |able to )*(?:a valid|valid|deliver|sent|send|reach|receive|accept|transmit|process)|undeliver|nondeliver|non-deliver|del[ie]very[^:]{0,60}(?:fail|abort|problem|error|delay|unsuccessful|impossible|reject|refus|suspend)|fail(?:ed|ure|s)?\b|reject|bounced|returned to|returned mail|aborted|delayed|unknown|invalid|permanent(?:ly)? (?:fatal )?error|returned permanent|does not exist|no such|unreachable|rejected by|nicht (?:\S+ )?(?:zugestellt|zustellbar|zustellen|erreicht|ausgeliefert|übermittelt)|unzustellbar|unbekannt|fehlgeschlagen|n'a pas pu|n'a pu|n'ont pas|pas (?:pu )?(?:etre|être)|échec|echec|impossible de|non remis|no (?:se )?(?:ha |pudo |pudieron )?(?:podido |ser )*(?:entreg|enviar|enviad)|no pudo ser|fall[oó]|error al|imposible|non (?:è|e'|e) stato|non (?:ha )?potuto|impossibile|non consegn|mancata consegna|não (?:foi|pôde|pode)|nao (?:foi|pode)|falha|niet (?:worden |kunnen )?(?:bezorg|aflever|afgelever)|onbestelbaar|kon niet|nie (?:mogła|mogło|może|można|został|udało)|niedostarcz|не (?:может|удалось|доставлен|было|могло)|невозможно|недоставлен|できません|届きません|配信不能|配送不能|失敗|无法|無法|失败|失敗|退信|不存在)",
    )
});

/// What says that tries go on.
pub(in crate::report) static WARNING: LazyLock<Regex> = LazyLock::new(|| {
    pattern(
        r"(?:has|have) (?:been delayed|not yet been)|this is (?:just|only) a warning|this is a warning|warning message only|will (?:be retried|continue to (?:attempt|try|be tried|retry))|delivery attempts will continue|we will continue to|still being retried|wird weiterhin versucht|nous continuerons|se seguirá intentando|not been delivered yet",
    )
});
