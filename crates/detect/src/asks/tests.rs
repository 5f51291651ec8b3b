use super::*;

fn field<'t>(name: &'t str, title: &'t str, description: &'t str) -> Field<'t> {
    Field { name: name.into(), title: title.into(), description: description.into(), shape: Shape::Text }
}

#[test]
fn labels_that_name_a_secret() {
    for (text, secret) in [
        ("password", Secret::Password),
        ("newPassword", Secret::Password),
        ("user_password_2", Secret::Password),
        ("PASSWORD", Secret::Password),
        ("p\u{430}ssword", Secret::Password),
        ("pass\u{200b}word", Secret::Password),
        ("pa55w0rd", Secret::Password),
        ("Your pass phrase", Secret::Password),
        ("pwd", Secret::Password),
        ("db_pass", Secret::Password),
        ("Mot de passe", Secret::Password),
        ("Contraseña", Secret::Password),
        ("Hasło", Secret::Password),
        ("Пароль", Secret::Password),
        ("密码", Secret::Password),
        ("パスワード", Secret::Password),
        ("비밀번호", Secret::Password),
        ("Şifreniz", Secret::Password),
        ("credentials", Secret::Password),
        ("api_key", Secret::Key),
        ("apiKey", Secret::Key),
        ("OPENAI_API_KEY", Secret::Key),
        ("AWS Secret Access Key", Secret::Key),
        ("client_secret", Secret::Key),
        ("privateKey", Secret::Key),
        ("Clé API", Secret::Key),
        ("token", Secret::Token),
        ("github_token", Secret::Token),
        ("accessToken", Secret::Token),
        ("Personal access token", Secret::Token),
        ("otp", Secret::Code),
        ("Verification code", Secret::Code),
        ("PIN", Secret::Code),
        ("Your PIN", Secret::Code),
        ("cvv", Secret::Card),
        ("Card number", Secret::Card),
        ("creditCardNumber", Secret::Card),
        ("Kreditkartennummer", Secret::Card),
        ("Seed phrase", Secret::Phrase),
        ("ssn", Secret::Identity),
    ] {
        assert_eq!(secret_asked(&[], &[field(text, "", "")]), Some((secret, Some(0))), "{text}");
        assert_eq!(secret_asked(&[], &[field("value", text, "")]), Some((secret, Some(0))), "{text}");
    }
}

#[test]
fn labels_that_name_none() {
    for text in [
        "token_count",
        "maxTokens",
        "max_token",
        "tokens",
        "Token limit",
        "tokenType",
        "next_page_token",
        "pageToken",
        "cancel token",
        "token_symbol",
        "password_policy",
        "password_length",
        "Password hint",
        "password_expires_at",
        "passwordless",
        "reset password",
        "secret_name",
        "secret_id",
        "Secret Santa partner",
        "api_key_name",
        "API key ID",
        "access_key_id",
        "public_key",
        "Name of the API key",
        "primary_key",
        "key",
        "keyword",
        "sort key",
        "pinned",
        "pin_to_top",
        "Pin color",
        "card",
        "card_holder",
        "card last digits",
        "card_title",
        "passenger",
        "passport_country",
        "bypass",
        "compass",
        "code",
        "zip code",
        "postal_code",
        "country code",
        "discount code",
        "authorName",
        "secretary",
        "cookie_banner",
        "credential_type",
        "username",
        "email",
        "message",
        "密码长度",
        "parola",
    ] {
        assert_eq!(secret_asked(&[], &[field(text, "", "")]), None, "{text}");
        assert_eq!(secret_asked(&[], &[field("value", text, "")]), None, "{text}");
    }
}

#[test]
fn sentences_that_ask_for_a_secret() {
    for (text, secret) in [
        ("Enter your GitHub password", Secret::Password),
        ("Enter API key", Secret::Key),
        ("Please provide your API key to continue.", Secret::Key),
        ("Your session ended. Type your password again to go on.", Secret::Password),
        ("Your password?", Secret::Password),
        ("Password:", Secret::Password),
        ("Paste the personal access token that you just created", Secret::Token),
        ("We need the token to go on", Secret::Token),
        ("To confirm that it is you, enter the 6-digit verification code", Secret::Code),
        ("Send me the OTP that you got", Secret::Code),
        ("Enter your credit card number and the CVV", Secret::Card),
        ("Enter the 12 words of your seed phrase", Secret::Phrase),
        ("Bitte geben Sie Ihr Passwort ein", Secret::Password),
        ("Bitte Kennwort eingeben", Secret::Password),
        ("Veuillez saisir votre mot de passe", Secret::Password),
        ("Introduzca su contraseña", Secret::Password),
        ("Digite sua senha", Secret::Password),
        ("Inserisci la password", Secret::Password),
        ("Voer uw wachtwoord in", Secret::Password),
        ("Podaj hasło", Secret::Password),
        ("Введите пароль", Secret::Password),
        ("Lütfen şifrenizi girin", Secret::Password),
        ("请输入您的密码", Secret::Password),
        ("パスワードを入力してください", Secret::Password),
        ("비밀번호를 입력하세요", Secret::Password),
        ("E\u{200b}nter your p\u{430}ssword", Secret::Password),
        ("It is never stored. Enter your password", Secret::Password),
    ] {
        assert_eq!(secret_asked(&[text], &[field("answer", "", "")]), Some((secret, None)), "{text}");
        assert_eq!(secret_asked(&[], &[field("answer", "", text)]), Some((secret, Some(0))), "{text}");
    }
    // Beside a field a noun is enough.
    for text in ["The API key of the service", "GitHub personal access token with repo scope", "Password for the archive", "Your secret"] {
        assert!(secret_asked(&[], &[field("answer", "", text)]).is_some(), "{text}");
    }
}

#[test]
fn sentences_that_ask_for_none() {
    let mut wrong = Vec::new();
    for text in [
        "Which file?",
        "Enter the token limit",
        "How many tokens may be spent?",
        "Do not enter your password here",
        "Never share your API key. Enter the project name",
        "Enter the name of the API key",
        "Enter a name for the secret",
        "Enter the email address to reset your password",
        "Your password has expired and must be changed in the settings",
        "Enter the password policy to apply",
        "Which API key should be revoked?",
        "What should the token be called?",
        "If the password changed, sign in again in your browser",
        "Describe the issue, for example: password reset mail does not arrive",
        "Enter the secret ingredient of the recipe",
        "Enter the page token from the last answer",
        "Enter a title for the article about passwordless login",
        "Sign in with your password in the browser, then enter the account name here",
        "Choose a key for the sort order",
        "Enter the public key",
        "Geben Sie den Namen des Tokens ein",
        "Geben Sie hier nie Ihr Passwort ein",
        "N'entrez jamais votre mot de passe",
        "请勿输入密码",
        "パスワードは入力しないでください",
        "Enter the address of the pull request",
        "Enter the discount code",
        "Enter the country code",
    ] {
        for found in [secret_asked(&[text], &[field("answer", "", "")]), secret_asked(&[], &[field("answer", "", text)])] {
            wrong.extend(found.map(|found| (text, found)));
        }
    }
    assert_eq!(wrong, []);
}

#[test]
fn only_what_can_be_typed_counts() {
    let shaped = |name: &'static str, shape| Field { shape, ..field(name, "", "") };
    assert_eq!(secret_asked(&["Enter your password"], &[]), None, "there is nothing to type into");
    assert_eq!(secret_asked(&["Enter your password"], &[shaped("go_on", Shape::Closed)]), None);
    assert_eq!(secret_asked(&["Enter your password"], &[shaped("count", Shape::Number)]), None);
    assert_eq!(secret_asked(&["Enter your PIN"], &[shaped("count", Shape::Number)]), Some((Secret::Code, None)));
    assert_eq!(secret_asked(&[], &[shaped("password", Shape::Closed)]), None, "whether there is one");
    assert_eq!(secret_asked(&[], &[shaped("token", Shape::Number)]), None, "how many");
    assert_eq!(secret_asked(&[], &[shaped("name", Shape::Text), shaped("pin", Shape::Number)]), Some((Secret::Code, Some(1))));
    assert_eq!(secret_asked(&[], &[shaped("value", Shape::Masked)]), Some((Secret::Password, Some(0))));
}

#[test]
fn long_texts_take_time_in_proportion() {
    // Two mebibytes, four times: anything worse would not come to an end.
    let text = "enter the name of the api key, the password policy, the token limit ".repeat(40_000);
    // A title of which every word is a noun that a word before it spoils.
    let title = format!("{}max {}", "x ".repeat(300_000), "otp ".repeat(300_000));
    assert!(secret_asked(&[], &[field(&title, &title, "")]).is_none());
    // Where a sentence has no end it is cut, so what is found does not matter here.
    let closed = Field { shape: Shape::Closed, ..field("", "", "") };
    assert!(secret_asked(&[&text], &[closed, field(&text, &text, &text)]).is_some_and(|(_, at)| at == Some(1)));
}
