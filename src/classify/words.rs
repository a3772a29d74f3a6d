//! What a text is about, before anybody asks what it says: names are blanked, the sender is told from the
//! recipient, and a text that adds nothing to its code is known for one.

use std::borrow::Cow;
use std::collections::HashSet;
use std::ops::Range;
use std::sync::LazyLock;

use regex::Regex;

use super::patterns::{Patterns, pattern};

/// An address, whose words mean nothing: `spam@example.com` speaks of no spam.
static ADDRESS: LazyLock<Regex> =
    LazyLock::new(|| pattern(r#"[^\s<>"'(),;:\[\]=]+@[^\s<>"'(),;:\[\].]+(?:\.[^\s<>"'(),;:\[\].]+)*"#));

/// A URL, or the name of a host: the last label is a word of letters, no digits as in 5.1.1.
static NAME: LazyLock<Regex> = LazyLock::new(|| {
    pattern(
        r#"(?i-u:\b(?:https?|ftp|mailto):|\bwww\.)[^\s<>"'\])]+|(?i-u:\b[a-z0-9_](?:[a-z0-9_-]*[a-z0-9])?(?:\.[a-z0-9_](?:[a-z0-9_-]*[a-z0-9])?)*\.[a-z]{2,}\b)"#,
    )
});

/// Words with dots in them that are no names: Exchange's classes of faults.
const DOTTED_WORDS: &[&str] = &[
    "resolver.",
    "storedrv",
    "smtpsend.",
    "queue.",
    "routing.",
    "agent.",
    "approval.",
    "transport.",
    "dsn.",
];

/// Top-level domains that are words, too, where a sentence lacks its space: `unknown.please`.
fn is_top_level(label: &str) -> bool {
    const GENERIC: &[&str] = &[
        "com",
        "net",
        "org",
        "edu",
        "gov",
        "mil",
        "int",
        "info",
        "biz",
        "name",
        "mobi",
        "asia",
        "app",
        "dev",
        "shop",
        "cloud",
        "online",
        "email",
        "site",
        "tech",
        "store",
        "club",
        "agency",
        "company",
        "group",
        "solutions",
        "services",
        "systems",
        "network",
        "media",
        "design",
        "digital",
        "world",
        "life",
        "live",
        "xyz",
        "top",
        "vip",
        "pro",
        "berlin",
        "bayern",
        "hamburg",
        "koeln",
        "wien",
        "paris",
        "london",
        "example",
        "test",
        "invalid",
        "local",
        "localhost",
        "localdomain",
        "lan",
        "internal",
        "intra",
        "home",
        "corp",
        "arpa",
        "onmicrosoft",
        "microsoft",
    ];
    const NOT_COUNTRIES: &[&str] = &["if", "or", "as", "an", "he", "we", "up", "go", "on", "ok"];
    label.len() == 2 && !NOT_COUNTRIES.contains(&label) || GENERIC.contains(&label)
}

/// The text with every letter, digit and dot of its addresses put out, at the same length; with `all`, those of URLs
/// and of host names, too. A dot would end the sentence. Other signs stay, so that a pattern still sees that an address
/// stood there.
#[must_use]
pub(super) fn blanked(text: &str, all: bool) -> Cow<'_, str> {
    let mut found: Vec<Range<usize>> = Vec::new();
    if text.contains('@') {
        found.extend(ADDRESS.find_iter(text).map(|found| found.range()));
    }
    if all && text.contains(['.', ':']) {
        let names = NAME.find_iter(text).map(|found| found.range());
        found.extend(names.filter(|found| is_name(&text[found.clone()]) && !goes_on(text, found.end)));
    }
    if found.is_empty() {
        return Cow::Borrowed(text);
    }
    let mut bytes = text.as_bytes().to_vec();
    for range in found {
        for byte in &mut bytes[range] {
            if byte.is_ascii_alphanumeric() || !byte.is_ascii() || *byte == b'.' {
                *byte = b'_';
            }
        }
    }
    String::from_utf8(bytes).map_or(Cow::Borrowed(text), Cow::Owned)
}

/// Whether another label follows, as in `Signature.sa.2.2`.
fn goes_on(text: &str, end: usize) -> bool {
    let rest = &text.as_bytes()[end..];
    rest.first() == Some(&b'.') && rest.get(1).is_some_and(u8::is_ascii_alphanumeric)
}

fn is_name(found: &str) -> bool {
    if found.contains("://") || found.contains(':') {
        return true;
    }
    let lower = found.to_ascii_lowercase();
    let Some((rest, last)) = lower.rsplit_once('.') else { return false };
    // "unknown.It" is the end of one sentence and the beginning of the next.
    let sentence = found.ends_with(|c: char| c.is_ascii_lowercase())
        && found[rest.len() + 1..].starts_with(|c: char| c.is_ascii_uppercase());
    !sentence && is_top_level(last) && !DOTTED_WORDS.iter().any(|word| lower.starts_with(word))
}

/// Who sends, in the languages of the field; and what we need for it: an account, a login, a right. This one and
/// the two below look at lower case.
static SENDER: LazyLock<Patterns> = LazyLock::new(|| {
    Patterns::new(&[
        r"\b(?:sender|submitter|originator)(?:'s)?\b",
        r"\b(?:unauthori[sz]ed|fake|spoofed|forged) (?:sender|from)\b",
        r"\b(?:mail|message|e-?mail)s? ?from:?(?: |\b)",
        r"\bfrom[- ](?:address|header|domain|field|line|user|account)s?\b",
        r"\bfrom: ?<?[^\s]+@",
        r"\b(?:return|reverse)[- ]?path\b",
        r"\benvelope[- ]?(?:from|sender)\b",
        r"\breply-to\b",
        r"\b(?:sending|originating|submitting) (?:e-?mail |mail |smtp )?(?:account|address|domain|user|host|server|ip|mta|client|mailbox|quota|limit|privilege|permission|system|party|site|organi[sz]ation|is|has|was|for|from|of)\b",
        r"\b(?:mail|message|e-?mail|smtp) (?:sending|submission)\b",
        r"(?:^|[.;!?] )\W*(?:[0-9.]+\W+)*(?:sending|submission)\b",
        r"\b(?:not )?(?:allowed|permitted|authori[sz]ed|able|entitled|enabled) to send\b",
        r"\bsubmission\b",
        r"\bout(?:going|bound)\b",
        r"\bsmtp (?:access|login|user|account)\b",
        r"\b(?:your|our) (?:e-?mail |mail |hosting |sending |smtp |user |own )?(?:account|subscription|plan|package|licen[cs]e|ip|host(?:name)?|server|domain|tenant|organi[sz]ation|mailbox|service|credentials?|login|password|trial|network|site|website|client|contract|product|website)\b",
        r"\b(?:auth|authenticated|authenticating|sasl|relay|submission)[- ](?:user|account|name|id|identity)\b",
        r"\b(?:user(?:name)? ?(?:or|and|/) ?)?passwords?\b",
        r"\baccounts? you (?:send|mail|log|submit|use|are (?:send|us|mail|submitt)ing)\b",
        r"\bfrom:? (?:header )?domain\b",
        r"\b(?:helo|ehlo|spf|dkim|dmarc|authentication|credentials?)\b",
        r"\bclient (?:host|ip|name|address)\b",
        r"\blog-?in\b",
        r"\bcampaigns?\b",
        r"\bapi key\b",
        r"\b(?:server|host|netz(?:werk)?|site|web)-?adress",
        r"adresse d(?:u|es?) (?:la |l')?(?:site|serveur|h(?:ô|o)te|r(?:é|e)seau|relais|machine)",
        r"direcci(?:ó|o)n (?:del?|de la) (?:servidor|sitio|host|red|equipo)",
        r"indirizzo (?:del(?:la|l')? ?)(?:server|sito|host|rete)",
        r"endere(?:ç|c)o d[oae] (?:servidor|site|host|rede)",
        r"адрес\S* (?:сервер|хост|сайт|узл|сет)",
        r"(?:サーバー?|ホスト|サイト|ネットワーク)の?(?:ip)?アドレス",
        r"(?:服务器|主机|网站|站点|网络|伺服器|主機|網站|網路)的?(?:ip)?地址",
        r"(?:서버|호스트|사이트)의? ?(?:ip ?)?주소",
        r"adres\S* (?:serwer|host|stron)",
        r"sunucu adres",
        r"\bip[- ]?(?:adress|адрес|地址|アドレス|주소)",
        r"(?:adresse|direcci(?:ó|o)n|indirizzo|endere(?:ç|c)o|адрес) ip\b",
        r"\bihr(?:e[mnrs]?)? (?:konto|(?:e-?mail-?)?adresse|account|server|mailserver|ip|domain|host|postfach|tarif|vertrag)",
        r"\bversand\b",
        r"\bvo(?:tre|s) (?:compte|adresse|serveur|adresse ip|ip|domaine|abonnement|h(?:ô|o)te)",
        r"\b(?:su|tu|sua|suo|seu|vostro|tuo) (?:cuenta|direcci(?:ó|o)n|indirizzo|endere(?:ç|c)o|servidor|dominio|ip|conta|dom(?:í|i)nio|account|server)",
        r"ваш\S* (?:адрес|уч(?:ё|е)тн|аккаунт|сервер|домен|ip|ящик|хост)",
        r"(?:您|你)的(?:地址|邮箱|帐户|账户|账号|帐号|服务器|域名|ip)",
        r"お使いの",
        r"お客様の",
        r"あなたの",
        r"귀하의",
        r"absender",
        r"versender",
        r"\bv(?:á|a)(?:š|s)(?:e|i|í|eho|emu|(?:í|i)m|ich)? ",
        r"odes(?:í|i)l",
        r"odeslan",
        r"\b(?:az )?ön \S",
        r"(?:lev(?:é|e)l)?k(?:ü|u)ld(?:é|e)s",
        r"\bva(?:š|s)(?:a|e|i|u|eg|em|ih|im)? ",
        r"\bslanj",
        r"po(?:š|s)iljanj",
        r"\bdvs\b|dumneavoastr(?:ă|a)",
        r"trimiter",
        r"\bj(?:ū|u)s(?:ų|u) ",
        r"\bteie ",
        r" σας",
        r"αποστολή",
        r"שלך",
        r"שליח",
        r"حسابك|خادمك|عنوانك|لديك",
        r"إرسال",
        r" شما",
        r"ارسال",
        r"c(?:ủ|u)a b(?:ạ|a)n",
        r"g(?:ử|u)i (?:c(?:ủ|u)a|th(?:ư|u))",
        r"ของคุณ",
        r"การส่ง",
        r"\banda\b",
        r"pengiriman",
        r"\bvostr[ae]s? ",
        r"\b(?:din|ditt|dit|deres|jeres) (?:\S+ )?(?:konto|adress|server|ip|firma|post)",
        r"udg(?:å|a)ende|utg(?:å|a)ende|l(?:ä|a)htev",
        r"\buw ",
        r"uitgaand",
        r"(?:hesab|sunucu|adres|ip)\S*(?:n(?:ı|i|u)z)\b",
        r"\bgiden ",
        r"\btw(?:ó|o)j|pa(?:ń|n)stwa ",
        r"wysy(?:ł|l)k|wychodz",
        r"исходящ|отправк",
        r"вихідн",
        r"desde (?:la|el) que",
        r"salient[ei]s?\b",
        r"adres\S* ip\b|\bip[ -]adres",
        r"sende(?:berechtigung|recht|limit)",
        r"versandkonto",
        r"exp(?:é|e)diteur",
        r"(?:é|\b)emetteur",
        r"remitent",
        r"\bemisor\b",
        r"mittente",
        r"remetente",
        r"afzender",
        r"verzender",
        r"avs(?:ä|a)ndar",
        r"avsender",
        r"afsender",
        r"l(?:ä|a)hett(?:ä|a)j",
        r"nadawc",
        r"odes(?:í|i)latel",
        r"odosielate",
        r"отправител",
        r"відправник",
        r"подател",
        r"адресант",
        r"g(?:ö|o)nderen",
        r"g(?:ö|o)nderici",
        r"g(?:ö|o)nderim",
        r"αποστολ(?:έ|ε)α",
        r"felad(?:ó|o)",
        r"expeditor",
        r"po(?:š|s)ilja(?:telj|la?c)",
        r"siunt(?:ė|e)j",
        r"s(?:ū|u)t(?:ī|i)t(?:ā|a)j",
        r"saatja",
        r"فرستنده",
        r"pengirim",
        r"ng(?:ườ|uo)i g(?:ử|u)i",
        r"ผู้ส่ง",
        r"המרסל",
        r"השולח",
        r"المرسل",
        r"发件",
        r"發件",
        r"寄件",
        r"发信",
        r"發信",
        r"发送者",
        r"發送者",
        r"发送方",
        r"送信者",
        r"差出人",
        r"送信元",
        r"送信アドレス",
        r"送信側",
        r"보낸",
        r"보내는",
        r"발신",
        r"발송",
    ])
});

/// Where a word for the sender stands behind one of these, it is not what the sentence is about.
static NOT_SUBJECT: LazyLock<Regex> = LazyLock::new(|| {
    pattern(
        r"\b(?:to|by|notify|notif(?:ied|ying)|inform|tell|ask|contact|advise|bounced|returned to|back to|given by|used by|in reply to|reply to|an den|au|al)\s+(?:the\s+|this\s+|its\s+|your\s+|mail\s+)?$",
    )
});

/// Who receives.
static RECIPIENT: LazyLock<Regex> = LazyLock::new(|| {
    pattern(
        r"\brecip(?:ient)?|\brcpt|\baddressee|\bdestina(?:tion|taire|tari[oa])|\bempf(?:ä|ae|a)nger|destinat(?:á|a)ri|получател|адресат|одержувач|收件|收信|受信|宛先|あて先|mottagar|mottaker|modtager|ontvanger|geadresseerde|odbiorc|al(?:ı|i)c(?:ı|i)|수신|받는|p(?:ří|ri)jem|c(?:í|i)mzett|vastaanottaj|παραλ(?:ή|η)πτ|primatelj|المستلم|הנמען",
    )
});

/// What stands before "recipient" where that is only what the sender is not: "your domain is not a valid recipient".
static IS_NOT_A: LazyLock<Regex> = LazyLock::new(|| pattern(r"\b(?:not|n't) an?\s+(?:(?-u:\w)+\s+)?$"));

/// What makes the words before it the sender's: "no such account for outgoing mail".
static OF_SENDER: LazyLock<Regex> = LazyLock::new(|| {
    pattern(
        r"^(?-u:[\s\w]){0,24}?\s(?:for\s+(?:outgoing|outbound|sending|submission|submitting|relaying)\b|(?:of|for)\s+(?:the\s+|this\s+)?sender\b)",
    )
});

/// Where the sentences of a text begin, after the first one. A full stop within a sentence has no space behind it, or
/// stands in a number.
#[must_use]
pub(super) fn sentences(text: &str) -> Vec<usize> {
    let ends = [". ", "; ", "! ", "? ", "。", "；"];
    let mut begins: Vec<usize> =
        ends.iter().flat_map(|end| text.match_indices(end).map(|(at, end)| at + end.len())).collect();
    begins.sort_unstable();
    begins
}

/// Where the sentence begins that `at` is in.
fn sentence_of(sentences: &[usize], at: usize) -> usize {
    sentences[..sentences.partition_point(|begin| *begin <= at)].last().copied().unwrap_or(0)
}

/// Whether what stands at `found` in a text in lower case is said of the sender: in its sentence (of [`sentences`]), the
/// last of the text's [`senders`] before its end, or right behind it, has no word for the recipient behind itself.
#[must_use]
pub(super) fn said_of_sender(
    text: &str,
    senders: &[Range<usize>],
    sentences: &[usize],
    found: Range<usize>,
) -> bool {
    if OF_SENDER.is_match(&text[found.end..]) {
        return true;
    }
    let Some(sender) = senders.iter().rev().find(|sender| sender.start <= found.end + 1) else {
        return false;
    };
    let between = text.get(sender.end..found.end).unwrap_or_default();
    sender.end > sentence_of(sentences, found.start)
        && !RECIPIENT.find_iter(between).any(|named| !IS_NOT_A.is_match(&between[..named.start()]))
}

/// Where a text in lower case speaks of the sender, or of what the sender needs.
#[must_use]
pub(super) fn senders(text: &str) -> Vec<Range<usize>> {
    let found = SENDER.find_all(text).into_iter();
    found.filter(|found| !NOT_SUBJECT.is_match(&text[..found.start])).collect()
}

/// Words that every MTA puts around what it has to say.
static FILLERS: LazyLock<HashSet<&str>> = LazyLock::new(|| {
    "a aborted account action address addressee addresses an and any are as at attempt attempts be \
    because been but by can cannot code command could couldn deliver deliverable delivered delivery \
    destination details diagnostic did does doing dsn email emails envelope error errors esmtp exim \
    failed failure fatal final following for further gave given gsmtp had has have help here host id in \
    info information invalid is it its last mail mailbox mailer mailserver message microsoft more mta \
    name no not nothing of ok okay on one or original permanent permanently please postfix problem qmail \
    rcpt reason received recipient recipients ref refused rejected remote reply report reported \
    requested respond responded response result returned s said says see sendmail sent server smtp some \
    sorry status system t taken talking that the their there these this those to transaction try unable \
    undeliverable undelivered unknown user visit was were while with x your"
        .split(' ')
        .collect()
});

/// Whether a text says nothing beside its codes, the code's registered `names`, addresses, hosts and what every
/// MTA says. What was rejected has to be the recipient: a message is rejected for what is in it.
#[must_use]
pub(super) fn says_nothing(text: &str, name: &str) -> bool {
    let text = blanked(text, true).to_lowercase();
    let name = name.to_lowercase();
    let words = |text: &'_ str| -> Vec<String> {
        text.split(|c: char| !(c.is_alphanumeric() || c == '_'))
            .filter(|word| {
                !word.is_empty() && !word.contains('_') && !word.chars().any(|c| c.is_ascii_digit())
            })
            .map(str::to_owned)
            .collect()
    };
    let registered = words(&name);
    let said = words(&text);
    let refused = said.iter().any(|word| matches!(word.as_str(), "rejected" | "refused"));
    let of_message = said.iter().any(|word| {
        matches!(
            word.as_str(),
            "message" | "mail" | "email" | "emails" | "data" | "transaction" | "subject" | "from"
        )
    });
    let of_recipient = said
        .iter()
        .any(|word| matches!(word.as_str(), "recipient" | "address" | "user" | "mailbox" | "rcpt"));
    if !senders(&text).is_empty() {
        return false;
    }
    if refused && of_message && !of_recipient {
        return false;
    }
    // "Server error" is a fault of the server, however common each of the two words is.
    let fault = said.windows(2).any(|two| {
        matches!(
            two[0].as_str(),
            "system" | "server" | "host" | "mta" | "transaction" | "data" | "smtp" | "mailserver"
        ) && matches!(two[1].as_str(), "error" | "errors" | "failure" | "failed" | "problem")
    });
    !fault && said.iter().all(|word| FILLERS.contains(word.as_str()) || registered.contains(word))
}
