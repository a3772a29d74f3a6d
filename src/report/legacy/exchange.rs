//! Exchange, from the Internet Mail Connector of the nineties to Microsoft 365, where the machine part is lost:
//! the old form names each recipient with a time and indents what happened; the newer one repeats each address
//! under "Diagnostic information for administrators" with the reply it got. The words come in the reader's language;
//! the line with the reply does not.

use std::sync::LazyLock;

use regex::Regex;

use super::entries::Entries;
use super::letter::Letter;
use super::text::{address_in, indent, lone_address, pattern};
use super::{Family, Reading};
use crate::address::TypedAddress;

pub(super) struct Exchange;

/// The heading of the administrators' section.
static DIAGNOSTIC: LazyLock<Regex> = LazyLock::new(|| {
    pattern(
        r"(?m)^[^a-z0-9à-\u{1fff}ぁ-\u{fffd}]*(?:diagnostic information for administrators|diagnoseinformationen für administratoren|informations de diagnostic (?:pour les|à l'attention des) administrateurs|información de diagnóstico para (?:los )?administradores|informazioni (?:di diagnostica|diagnostiche) per gli amministratori|informações de diagnóstico para (?:os )?administradores|diagnostische (?:gegevens|informatie) voor (?:beheerders|administrators)|informacje diagnostyczne dla administratorów|диагностические сведения для администраторов|管理者向けの診断情報|管理员的诊断信息|供系統管理員使用的診斷資訊)\s*[:：]",
    )
});

/// The line before the name of the host that gave up.
static SERVER: LazyLock<Regex> = LazyLock::new(|| {
    pattern(
        r"(?m)^[^a-z0-9à-\u{1fff}ぁ-\u{fffd}]*(?:generating server|generierender server|serveur (?:de génération|générateur)|servidor (?:de generación|generador|gerador)|generando servidor|gerando servidor|server di generazione|server che (?:ha generato|genera)[^:\n]*|genererende server|bronserver|serwer generujący|создающий сервер|формирующий сервер|生成サーバー|生成服务器|產生伺服器)\s*[:：]\s*([a-z0-9._-]+)",
    )
});

/// The sentence before the recipients, in the form for people.
static LIST: LazyLock<Regex> = LazyLock::new(|| {
    pattern(
        r"(?:did not reach the following recipient(?:\(s\)|s)?:|the following recipient(?:\(s\)|s)? (?:could not|cannot|can't) be reached:|delivery has failed to these recipients or (?:groups|distribution lists):|delivery to the following recipients? (?:has )?failed\.?|your message (?:wasn't|couldn't be) delivered to [^\n:]{0,80}:|fehler bei der nachrichtenzustellung an (?:die )?folgenden? empfänger(?: oder (?:gruppen|verteilerlisten))?:|(?:folgende\(r\)|die folgenden|der folgende) empfänger (?:konnte|kann|konnten)[^\n:]{0,30} nicht erreicht werden:|échec de la remise (?:à|pour) ces destinataires ou (?:groupes|listes de distribution) ?:|impossible de joindre le(?:s|\(s\))? destinataire(?:s|\(s\))? suivant(?:s|\(s\))? ?:|(?:no se pudo entregar el mensaje a|error de entrega a|se produjo un error en la entrega a) estos destinatarios o (?:grupos|listas de distribución):|no se (?:puede obtener acceso|pudo localizar) a los siguientes destinatarios:|(?:recapito non riuscito per|impossibile recapitare (?:il messaggio )?a[i]?)[^\n:]{0,40}destinatari[^\n:]{0,30}:|impossibile raggiungere i seguenti destinatari:|falha na entrega (?:a|para) estes destinatários ou (?:grupos|listas de distribuição):|não foi possível (?:alcançar|contatar|contactar) o(?:s|\(s\)) seguinte(?:s|\(s\)) destinatário(?:s|\(s\)):|(?:bezorging|het bezorgen) [^\n:]{0,60}geadresseerden[^\n:]{0,30}:|de volgende geadresseerden? (?:kan|kon|kunnen|konden) niet worden bereikt:|dostarczenie [^\n:]{0,40}adresat[^\n:]{0,30}:|не удалось (?:выполнить доставку|доставить сообщение)[^\n:]{0,80}:|次の受信者[^\n:：]{0,40}[:：。]|传递(?:失败|到以下)[^\n:：]{0,40}[:：])",
    )
});

/// The time after the recipient in the old form.
static ON_DATE: LazyLock<Regex> =
    LazyLock::new(|| pattern(r"(?i)[;,]? (?:on|am|le|el|il|em|op) (?:[a-z]{2,3}\.?, )?\d{1,2}[ ./-]"));

/// The line with the reply, below the address, whatever the language around it.
static RETURNED: LazyLock<Regex> = LazyLock::new(|| {
    pattern(
        r"^(?:(?:remote server|[a-z0-9-]+(?:\.[a-z0-9-]+)+)(?: \([^)]*\))? returned '[45]\d\d |#? ?[45]\d\d (?:[45]\.\d+\.\d+ )?resolver\.)",
    )
});

/// A name before the host that gave up, in any language: `Generating server: mx.x.example`.
static LABELLED_HOST: LazyLock<Regex> =
    LazyLock::new(|| pattern(r"(?i-u)^(?u:[^:：@]){3,60}(?u:[:：])\s*([a-z0-9-]+(?:\.[a-z0-9-]+)+)$"));

/// Most lines between an address and the reply it got: a reply may be folded, and names its host before that.
const APART: usize = 3;

/// The same without a header that shows a bounce, in a language whose words for it nobody listed.
pub(super) struct AnyLanguage;

impl Family for AnyLanguage {
    fn name(&self) -> &'static str {
        "exchange-any-language"
    }

    fn read(&self, letter: &Letter<'_>) -> Option<Reading> {
        let by_exchange = letter.from().starts_with("microsoftexchange");
        (by_exchange || letter.is_by_mail_system()).then(|| returned(letter))?
    }
}

/// Reads the section that begins with an address and the reply it got.
fn returned(letter: &Letter<'_>) -> Option<Reading> {
    let mut host = None;
    let mut last = None;
    let lines = letter.lines().filter(|(_, line)| !line.trim().is_empty());
    let start = lines.enumerate().find_map(|(number, (at, line))| {
        let line = line.trim();
        if lone_address(line).is_some() {
            last = Some((number, at));
        }
        let found = LABELLED_HOST.captures(line).and_then(|found| found.get(1));
        host = found.map(|host| host.as_str()).or(host);
        let (address, at) = last.filter(|_| RETURNED.is_match(&line.to_lowercase()))?;
        (number - address <= APART).then_some(at)
    })?;
    let mut entries = Entries::default();
    diagnostics(&letter.body[start..], &mut entries);
    Some(Reading::of(entries.finish()).reported_by(host))
}

impl Family for Exchange {
    fn name(&self) -> &'static str {
        "exchange"
    }

    fn certain(&self) -> bool {
        false
    }

    fn read(&self, letter: &Letter<'_>) -> Option<Reading> {
        let mut entries = Entries::default();
        if let Some(section) = letter.after(&DIAGNOSTIC) {
            diagnostics(section, &mut entries);
        }
        let host = SERVER.captures(&letter.lower).and_then(|found| found.get(1)).map(|host| host.as_str());
        if entries.is_empty() {
            if let Some(reading) = returned(letter) {
                return Some(reading);
            }
            prose(letter.after(&LIST)?, letter, &mut entries);
        }
        let mut recipients = entries.finish();
        for recipient in &mut recipients {
            // "host #<host #5.1.1 smtp;550 …> #SMTP#"
            let said = recipient.diagnostic_code.as_ref().map_or("", |code| code.text.as_str());
            if let Some((host, _)) =
                said.split_once(" #<").filter(|(host, _)| !host.contains(char::is_whitespace))
            {
                recipient.remote_mta = Some(TypedAddress { kind: None, value: host.to_owned() });
            }
        }
        Some(Reading::of(recipients).reported_by(host))
    }
}

/// `address`, then `#550 5.1.1 …##` or `host returned '550 …'`, up to the next address.
fn diagnostics(section: &str, entries: &mut Entries) {
    for line in section.lines() {
        let trimmed = line.trim();
        if let Some(address) = lone_address(trimmed) {
            entries.begin(&address, "");
        } else if SERVER.is_match(&trimmed.to_lowercase()) {
            // the host, not a recipient's
        } else if let Some((address, said)) = trimmed.split_once(" #")
            && let Some(address) = lone_address(address)
        {
            entries.begin(&address, said); // both on one line, as HTML that became text has it
        } else {
            entries.add(trimmed.trim_matches(['#', ' ']));
        }
    }
}

/// The recipients in the part for people.
fn prose(section: &str, letter: &Letter<'_>, entries: &mut Entries) {
    // A name with a time and no address: the diagnostic below may have it.
    let mut nameless = false;
    for line in section.lines() {
        let trimmed = line.trim();
        if !trimmed.contains(char::is_alphabetic) {
            continue; // empty, or the rest of a folded time
        }
        let timed = ON_DATE.find(trimmed);
        let who = timed.as_ref().map_or(trimmed, |found| &trimmed[..found.start()]);
        // A line that is folded in the middle of an X.400 address goes on with the time.
        if let Some(address) =
            address_in(who).filter(|_| timed.is_some() || indent(line) < 16 && entry_like(who))
        {
            entries.begin(&address, "");
            nameless = false;
        } else if timed.is_some() && !trimmed.contains("MSEXCH") {
            nameless = true;
        } else if nameless
            && let Some(address) = address_in(trimmed).filter(|address| is_ours(letter, address))
        {
            entries.begin(&address, trimmed);
            nameless = false;
        } else if !nameless {
            entries.add(trimmed.trim_matches(['<', '>', '#']));
        }
        if entries.is_empty() && !nameless && trimmed.len() > 120 {
            break;
        }
    }
}

/// An address alone, or behind the name it belongs to.
fn entry_like(who: &str) -> bool {
    lone_address(who).is_some()
        || (who.ends_with(['>', ')', '\'']) && who.split_whitespace().count() < 8 && !who.contains('#'))
}

/// Whether the mail was for this address, as far as that can be seen.
fn is_ours(letter: &Letter<'_>, address: &str) -> bool {
    letter.original.as_ref().is_none_or(|original| {
        original.from.as_deref().is_none_or(|from| !super::same_address(from, address))
    })
}
