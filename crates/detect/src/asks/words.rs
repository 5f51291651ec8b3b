//! The words of [`super`], in the languages that forms are mostly written in. Nouns stand with commas between them, the others
//! with blanks.

use super::Secret;

/// What is a secret wherever it stands.
pub(super) const NOUNS: &[(Secret, &str)] = &[
    (
        Secret::Password,
        "password, passwords, passwd, passwort, passworts, kennwort, kennworts, passphrase, pass phrase, pass word, passcode, mot de passe, \
         motdepasse, mdp, contraseña, contrasena, clave de acceso, senha, palavra passe, parola d ordine, password dell, wachtwoord, \
         lösenord, lösenordet, passord, passordet, adgangskode, adgangskoden, salasana, salasanasi, hasło, hasła, heslo, jelszó, jelszava, \
         şifre, şifreniz, şifrenizi, şifreni, parolanızı, parolanız, пароль, пароля, паролем, парола, κωδικό πρόσβασης, κωδικός πρόσβασης, \
         סיסמה, הסיסמה, mật khẩu, kata sandi, login credentials, account credentials, security answer, master password",
    ),
    (
        Secret::Key,
        "api key, api keys, apikey, apikeys, secret key, secretkey, secret access key, aws secret, private key, privatekey, signing key, \
         encryption key, client secret, clientsecret, app secret, consumer secret, shared secret, webhook secret, api secret, api schlüssel, \
         geheimer schlüssel, geheimen schlüssel, privater schlüssel, privaten schlüssel, clé api, clé d api, clé privée, clé secrète, \
         clave api, clave de api, clave privada, clave secreta, chave api, chave de api, chave da api, chave privada, chave secreta, \
         chiave api, chiave privata, chiave segreta, api sleutel, geheime sleutel, klucz api, klucza api, klucz prywatny, api anahtarı, \
         api anahtarınızı, ключ api, api ключ, секретный ключ, приватный ключ, закрытый ключ",
    ),
    (
        Secret::Token,
        "access token, accesstoken, auth token, authtoken, authentication token, authorization token, bearer token, refresh token, session token, api token, apitoken, \
         personal access token, oauth token, security token, bot token, deploy token, login token, zugriffstoken, zugangstoken, jeton d accès, \
         token de acceso, token de acesso, token di accesso, toegangstoken, token dostępu, erişim belirteci, токен доступа, session cookie, \
         session cookies, auth cookie, login cookie, sessionskennung",
    ),
    (
        Secret::Code,
        "otp, totp, one time code, one time password, one time passcode, onetime code, verification code, authentication code, \
         authenticator code, two factor code, 2fa code, mfa code, 2fa, mfa token, recovery code, recovery codes, backup code, backup codes, sms code, login code, \
         einmalcode, einmalpasswort, bestätigungscode aus der sms, sicherheitscode, code de vérification, code de sécurité, \
         código de verificación, código de seguridad, código de verificação, código de segurança, codice di verifica, codice di sicurezza, \
         verificatiecode, kod weryfikacyjny, doğrulama kodu, doğrulama kodunu, код подтверждения, одноразовый код, pin number, pin code, card pin, account pin, debit pin",
    ),
    (
        Secret::Card,
        "card number, cardnumber, credit card number, debit card number, cvv, cvc, cvv2, cvc2, card security code, card verification, kreditkartennummer, \
         kartennummer, kartenprüfnummer, numéro de carte, numéro de la carte, cryptogramme, número de tarjeta, número de la tarjeta, \
         número do cartão, número de cartão, numero di carta, numero della carta, numero carta, kaartnummer, numer karty, kart numarası, \
         kart numaranızı, номер карты",
    ),
    (
        Secret::Phrase,
        "seed phrase, seedphrase, recovery phrase, secret phrase, mnemonic phrase, seed words, recovery words, wiederherstellungsphrase",
    ),
    (
        Secret::Identity,
        "ssn, social security number, social security no, social insurance number, national insurance number, sozialversicherungsnummer, numéro de sécurité sociale, \
         número de seguridad social, número de seguro social, bsn nummer, codice fiscale e password",
    ),
];

/// What is one when nothing is said beside it.
pub(super) const BARE: &[(Secret, &str)] = &[
    (
        Secret::Password,
        "pass, pwd, credentials, credential, zugangsdaten, anmeldedaten, identifiants, credenciales, credenciais, clave, secret, secrets, geheimnis",
    ),
    (Secret::Token, "token, jeton, токен, bearer, jwt, cookie"),
    (Secret::Code, "pin, tan, cvn, 2fa"),
    (Secret::Card, "credit card, debit card, kreditkarte, carte bancaire, tarjeta de crédito, cartão de crédito, carta di credito"),
    (Secret::Phrase, "mnemonic"),
];

/// After a secret: it is about it. Also before it, with a genitive: "the name of the key".
pub(super) const SPOILS: &str = "\
    count counts counter number numbers limit limits length size budget usage used cost costs price policy policies rule rules type types kind name names \
    id ids identifier label labels title description hint hints expiry expires expired expiration expire lifetime ttl age rotation manager managers generator \
    strength reset resets recovery change changes field fields file files filename path paths url uri link location store storage vault provider source address \
    scope scopes format algorithm prefix suffix version status state enabled required visible date holder brand last ending digits symbol contract standard supply \
    page pages protected protection based auth authentication authorization login method methods option options page reader leak leaks leaked breach alert alerts notification notifications \
    anzahl name namen länge typ ablauf ablaufdatum richtlinie nom nombre longueur longitud tipo nome comprimento lunghezza naam aantal nazwa liczba количество имя длина owner purpose santa ingredient";

/// Before a secret: it is not the secret itself that is wanted.
pub(super) const BEFORE: &str = "\
    max maximum min minimum num number total count has have had is was are show hide display remember save forgot forget forgotten reset resetting lost recover recovering \
    require requires required enable disable allow rotate rotating rotated revoke revoking revoked expire expired generate generated create rename delete remove list manage \
    last public publishable hashed masked zurücksetzen vergessen oublié olvidada olvidó esqueceu dimenticata verloren сброс забыли about regarding no without";

/// Somebody is told to give something.
pub(super) const CUES: &str = "\
    enter type paste provide input submit supply share give send tell specify insert fill write need needs require requires required reply respond confirm verify please copy put add \
    eingeben eingibst geben gib angeben teilen sende senden bitte einfügen eintragen nennen bestätigen benötigt benötigen \
    entrez entrer saisissez saisir fournissez fournir indiquez indiquer tapez collez veuillez donnez envoyez \
    introduce introduzca ingrese ingresa escriba escribe proporcione proporciona indique pegue envíe necesito necesitamos \
    digite insira informe forneça introduza cole envie preciso inserisci inserire digita fornisci incolla invia \
    voer geef vul typ plak stuur ange skriv fyll angiv indtast oppgi syötä anna podaj wpisz wprowadź wklej proszę zadejte vložte adja írja girin girin yazın giriniz \
    введите введи укажите укажи вставьте напишите отправьте сообщите הזן הקלד nhập masukkan";

/// Not.
pub(super) const NOT: &str = "\
    not never don dont doesn cannot avoid nicht nie niemals keine kein keinen ohne ne pas jamais sans nunca jamás sin não nunca sem non mai senza niet nooit geen zonder \
    nie nigdy bez не нет никогда без inte aldrig ikke aldri älä ei";

/// Between a thing and whose it is.
pub(super) const OF: &str = "of for from in on to about von für zu zum zur des der de du pour para por do da di del della van voor";

/// What may follow a noun that says nothing beside others.
pub(super) const ENDS: &str = "\
    for to of and or here from below that which so in on with now again is please from then für um zu hier aus von und pour de et ici para y aquí e aqui per qui voor om hier dla tutaj для из и чтобы eingeben ein girin";

/// A sentence that begins like this is about something.
pub(super) const OPENING: &str = "\
    if when whether after before how why where which what who should could can may issue problem bug about regarding describe explain discuss summary title topic subject \
    search query article document ticket note because since once wenn ob falls wie warum si cuando quand se quando als если когда";

/// Tokens that are none of those that let somebody in.
pub(super) const OTHER_TOKENS: &str = "\
    page next continuation continue sync cancel cancellation progress design style color css nft crypto native gas governance target source input output from to swap utility \
    stop start end eos bos pad unk special cursor pagination erc20 erc721 reward payment quote base per each lexer parser syntax delimiter separator nonce placeholder first max";

/// Words that add nothing.
pub(super) const EMPTY: &str = "\
    the a an your my our this that user users new old current confirm repeat valid existing optional enter account admin root db database login email mail wifi network server service \
    ihr ihre dein deine das der die den le la les votre ton su tu el o a sua seu il lo tuo sua uw je jouw";

/// What a sentence is led into by, and not asked for: "signed in with a password".
pub(super) const INTO: &[&str] = &["using", "via", "with", "mit", "avec", "con", "com", "met"];

/// After a secret: something is said of it.
pub(super) const STATES: &[&str] =
    &["has", "had", "was", "is", "will", "must", "did", "changed", "ist", "hat", "wurde", "est", "es", "fue", "wird"];

/// Secrets in writings without blanks.
pub(super) const SPACELESS: &[(Secret, &str)] = &[
    (Secret::Password, "密码, 密碼, 口令, パスワード, 暗証番号, 비밀번호, 패스워드, 암호를, รหัสผ่าน, كلمة المرور, كلمة السر, पासवर्ड"),
    (
        Secret::Key,
        "api密钥, api 密钥, api密鑰, 密钥, 私钥, 私鑰, 金鑰, apiキー, api キー, 秘密鍵, シークレットキー, api키, api 키, 개인키, 비밀키",
    ),
    (Secret::Token, "访问令牌, 訪問令牌, 存取權杖, アクセストークン, 액세스 토큰, 엑세스 토큰"),
    (Secret::Code, "验证码, 驗證碼, 認証コード, 確認コード, ワンタイムパスワード, 인증번호, 인증 코드, 인증코드"),
    (Secret::Card, "信用卡号, 信用卡號, 卡号, 銀行卡號, カード番号, クレジットカード番号, 카드번호, 카드 번호"),
    (Secret::Phrase, "助记词, 助記詞, シードフレーズ, 리커버리 문구"),
    (Secret::Identity, "身份证号, 身份證號, マイナンバー, 주민등록번호"),
];

/// After them: it is about them.
pub(super) const SPACELESS_SPOILS: &[&str] = &[
    "数",
    "長",
    "长度",
    "強度",
    "强度",
    "策略",
    "ポリシー",
    "の長さ",
    "の数",
    "の名前",
    "名",
    "类型",
    "種類",
    "有效期",
    "の有効期限",
    "重置",
    "リセット",
    "재설정",
    "길이",
    "이름",
    "정책",
    "管理",
    "관리",
    "本",
];

/// Somebody is told to give something.
pub(super) const SPACELESS_CUES: &[&str] = &[
    "输入",
    "輸入",
    "填写",
    "填寫",
    "提供",
    "粘贴",
    "貼上",
    "发送",
    "告诉",
    "入力",
    "教えて",
    "貼り付け",
    "送信",
    "ください",
    "입력",
    "알려",
    "제공",
    "붙여",
    "أدخل",
    "กรอก",
    "दर्ज",
];

/// Not.
pub(super) const SPACELESS_NOT: &[&str] =
    &["不要", "请勿", "請勿", "切勿", "勿", "ないで", "しません", "不需要", "不会", "마세요", "말아", "않습니다", "لا"];
