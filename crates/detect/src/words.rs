//! The vocabulary: words and short phrases, each for an idea. A rule is about ideas, never about wording, so
//! that one rule serves every language and paraphrase that the vocabulary knows.
//!
//! Phrases are separated by `|`; a `*` at the end stands for any ending. All are folded like the texts they are sought in.

/// A set of ideas, one bit each.
pub(crate) type Ideas = u64;

macro_rules! ideas {
    ($($name:ident = $bit:literal: $words:expr;)*) => {
        $(pub(crate) const $name: Ideas = 1 << $bit;)*
        /// For each idea its lists of phrases.
        pub(crate) const VOCABULARY: &[(Ideas, &[&str])] = &[$((1 << $bit, &$words)),*];
    };
}

ideas! {
    // Setting aside.
    IGNORE = 0: [
        "outrank*|has priority over|have priority over|precedence over|take precedence over|stop obeying|no longer follow|cease to follow|overriding|supplant*|cancel|revoke|abandon|ignore|ignoring|disregard|disregarding|forget|override|overrides|overrule|supersede*|do not follow|don't follow|stop following|pay no attention|discard|do not obey|do not comply",
        "ignorier*|vergiss|missachte*|ignorez|oublie*|ne tenez pas compte|ignora|ignore as|olvida*|omite|haz caso omiso|dimentica*|negeer|esqueca",
        "игнорир*|забудь*|проигнорир*|не обращай|忽略|无视|忘记|不要理会|無視|忘れ|무시|잊어|zignoruj|yok say|تجاهل",
    ];
    PRIOR = 1: [
        "previous|prior|above|earlier|preceding|existing|your|original|former|all other|any other|everything before|user's actual|what you were told",
        "vorherig*|bisherig*|obig*|fruher*|precedent*|anterieur*|anterior*|previa*|precedenti|vorige|предыдущ*|прежн*|之前|先前|以上|前面|以前|これまで|上記|前の|이전|poprzedni*|onceki|السابقة",
    ];
    RULES = 2: [
        "instruction*|rule|rules|prompt|prompts|guideline*|constraint*|polic*|restriction*|directive*|safeguard*|guardrail*|command*|orders|request|training|limits",
        "anweisung*|regel*|vorgabe*|consigne*|regle*|instruccion*|regla*|istruzion*|instruco*|instructies|инструкц*|правил*|указани*|指令|指示|规则|規則|说明|提示词|설정|지시|규칙|polecen*|instrukc*|talimat*|التعليمات",
    ];
    JAILBREAK = 3: [
        "ignore the above|ignore all of the above|ignore everything above|disregard the above|forget the above|forget everything|disregard everything|ignore everything|ignore all safety|ignore safety|ignore the user|do anything now|developer mode enabled|unrestricted mode|jailbreak*|no restrictions apply|without any restrictions|you are now free",
    ];
    // Safety and consent.
    SAFETY = 4: [
        "safety instruction*|security instruction*|safety-related|security-related|all safety|content moderation|安全指令|安全规则|permission dialog*|confirmation dialog*|confirmation step*|asking for confirmation|requests for confirmation|approval step*|approval request*|safety check*|safety rule*|safety guideline*|safety restriction*|safety validation|safety polic*|safety filter*|safety measure*|guardrail*|content filter*|content filtering|content polic*|content sanitization|security check*|security polic*|security control*|security restriction*|access control*|approvals|user approval|human approval|user consent|human review|moderation|safeguards|all validation|trust boundar*",
        "sicherheitspruf*|sicherheitsregel*|sicherheitsvorkehr*|freigabe*|zustimmung*|genehmigung*|controles de seguridad|controles de securite|安全检查|安全限制|安全策略|安全チェック|セキュリティ|проверки безопасности|안전 검사",
    ];
    OFF = 6: [
        "disable|disabled|disables|disabling|turn off|turned off|switch off|switched off|skip|skips|skipping|bypass|bypasses|bypassing|bypassed|deactivat*|suspended|circumvent*|waived|lifted|no longer required|no longer needed|no longer apply|no longer applies|not required|not needed|do not apply|are off|is off",
        "deaktivier*|uberspring*|umgeh*|abgeschaltet|nicht notig|nicht erforderlich|desactiv*|omitir|saltar*|contourn*|disattiv*|отключ*|пропуст*|обойти|跳过|禁用|关闭|无需|绕过|スキップ|無効|不要|건너뛰|비활성|생략",
    ];
    UNASKED = 7: [
        "without asking|without confirm*|without approval|without user confirmation|without permission|without waiting for|without prompting|do not ask for|don't ask for|not ask the user|never ask for|never ask the user|no need to ask|skip asking|instead of asking|stop asking|need not ask|do not wait for|don't wait for|no confirmation|with no confirmation|do not pause|do not seek",
        "ohne ruckfrage|ohne zu fragen|ohne nachfrag*|frag nicht|ohne bestatigung|sans demander|sans confirmation|sin preguntar|sin confirm*|senza chiedere|senza conferma|sem perguntar|sem confirm*|не спрашива*|без подтвержд*|без разрешен*|无需确认|不要询问|无需询问|不用确认|確認せず|確認なし|確認は不要|許可を求めず|묻지 말고|확인 없이",
    ];
    CONSENTED = 8: [
        "once it is approved|tool is approved|tool is trusted|after the user approves|once trusted|assume the user|assume consent|assume approval|assume permission|assume that the user|consider it approved|treat it as approved|already been approved|already been confirmed|already been given|is pre-approved|standing consent|blanket approval|blanket permission|user has already|user already|user has agreed|user has approved|user has consented|user has authori*|user has disabled|user has granted|user has opted|user has accepted|user has confirmed|user has given|user has allowed|user has waived|user gave|user agreed|user consented|user approved|user authori*|already agreed|already approved|already consented|already authori*|already confirmed|already given permission|pre-approved|preapproved|pre-authori*|has been pre|consent was given|consent is implied|consent has been|consent is given|permission was granted|permission has been|permission is granted|administrator has approved|admin has approved|approved by the administrator|approved by the user|approved by security|authorised by|authorized by the|on behalf of the administrator",
        "nutzer hat zugestimmt|nutzer hat bereits|benutzer hat bereits|benutzer hat zugestimmt|bereits zugestimmt|bereits genehmigt|l'utilisateur a deja|usuario ya|l'utente ha gia|usuario ja|пользователь уже|уже согласил*|用户已|已授权|已经同意|ユーザーは同意|ユーザーはすでに|同意済み|許可済み|承認済み|사용자는 이미|이미 동의",
    ];
    // Concealment.
    HIDE = 9: [
        "no need to mention|not need to mention|without saying|never say|keep quiet about|do not log this|user's knowledge|without anyone|say nothing|do not bring|not bring up|not be mentioned|must not appear|must not see|should not notice|not show up|stay hidden|remain hidden|stays hidden|remains hidden|kept secret|kept hidden|do not ever mention|between you and|strictly confidential|this step private|do not tell|don't tell|never tell|without telling|not to tell|avoid telling|do not mention|don't mention|never mention|without mentioning|not mention|avoid mentioning|no mention of|do not inform|don't inform|without informing|never inform|do not notify|don't notify|without notifying|do not disclose|don't disclose|never disclose|without disclosing|do not let the user|don't let the user|must not know|need not know|does not need to know|doesn't need to know|should not know|should not be aware|must not be aware|must not notice|must not learn|without the user|not be told|do not alert|don't alert|do not explain this|don't explain this|do not reveal this|do not reveal that|do not reveal these|never reveal these|never reveal this|do not talk about|don't talk about|do not report this|do not say that|do not admit|omit this|leave this out|keep this from|hide this|hide it|hide the fact|keep it secret|keep this secret|keep this hidden|keep this confidential|keep this private|keep it hidden|keep it between|conceal*|leave no trace|not visible to the user|invisible to the user|never show this|do not show this|don't show this|do not display this|do not include this step|remove any trace|delete this instruction",
        "nicht mitteil*|nicht erwahn*|nicht sagen|sag nichts|sage nichts|nichts davon|nichts sagen|ohne den nutzer|ohne den benutzer|ohne es zu erwahnen|verschweig*|erwahne nicht|erwahne dies nicht|erwahne das nicht|erwahne es nicht|erfahren darf|nicht informier*|verrate|geheim|ne dis pas|ne le dis|ne dites|ne mentionne*|n'en parle*|n'informe*|sans en informer|sans prevenir|sans le dire|ne pas informer|ne pas mentionner|ne pas dire|no le digas|no digas|no menciones|no mencion*|no informes|no inform*|sin informar|sin avisar|sin decir*|no se lo|non dire|non dirlo|non menzion*|non informare|senza informare|senza dir*|nao diga|nao conte|nao mencione|nao informe|sem avisar|sem informar|niet vertellen|zonder te melden|nie mow|nie wspominaj",
        "не говори*|не сообща*|не упомина*|не рассказыва*|не информир*|не раскрыва*|скрой*|скрыва*|втайне|не должен знать|不要告诉|别告诉|不要提及|不要透露|不要提到|请勿告知|请勿告诉|不得告知|不能告诉|勿告知|勿提及|保密|不让用户|不要让用户|不要向用户|知らせない|知らせず|言わない|伝えない|伝えず|教えない|話さない|気づかれない|内緒|秘密に|触れない|알리지|말하지|언급하지|몰래|비밀로",
    ];
    QUIET = 10: [
        "silently|secretly|covertly|quietly|discreetly|unnoticed|stealthily|invisibly|behind the scenes|surreptitiously|in secret|heimlich|unauffallig|stillschweigend|secretement|discretement|en secreto|discretamente|in segreto|di nascosto|тайно|незаметно|скрытно|悄悄|暗中|偷偷|こっそり|密かに|조용히",
    ];
    USER = 11: [
        "user|users|user's|human|operator|customer|nutzer*|benutzer*|anwender*|utilisateur*|usuario*|utente|utenti|gebruiker|uzytkownik*|пользовател*|用户|使用者|ユーザー|利用者|사용자",
    ];
    ASKUSER = 12: [
        "ask the user for|ask the user to|ask user for|ask for the user|prompt the user for|request from the user|request the user's|obtain from the user|ask them for|have the user|get the user to|require the user to|tell the user to|frage den nutzer|bitte den nutzer|frag den nutzer|fordere den|demande a l'utilisateur|demandez a l'utilisateur|pide al usuario|solicita al usuario|pidele|chiedi all'utente|peca ao usuario|попроси*|запроси*|спроси*|要求用户|询问用户|让用户|请用户|向用户索取|ユーザーに尋ね|ユーザーから|ユーザーに入力|사용자에게",
    ];
    // Moving data.
    TAKE = 13: [
        "read|open|collect|gather|fetch|load|retrieve|copy|dump|extract|harvest|grab|locate|take|scan|cat|obtain|look up|find|enumerate|access|inspect|summarise|summarize",
        "lies|lese|lesen|offne|offnen|sammle|hole|ouvre*|lis|lisez|recupere*|lee|lea|abre|obten|recoge|leggi|apri|recupera|leia|abra|прочит*|прочти*|открой*|собери*|считай*|получи*|读取|打开|收集|获取|读出|読み|読ん|開い|開き|取得|収集|集め|要約|읽|열어|수집",
    ];
    GIVE = 14: [
        "send|sends|sending|post|pass|passes|passing|include|includes|including|append|attach|attaching|forward|forwarding|forwards|insert|put|place|places|supply|supplies|provide|provides|embed|embedding|add|transmit|upload|submit|share|paste|email|mail|relay|leak|exfiltrat*|echo|write|encode|hand over|deliver|bcc|cc|copy it|reveal|expose|output|print|disclose|fill in|enter|store it in|dump",
        "sende|senden|schicke|schick|fuge|ubergib|ubergeben|hange|ubermittle|ubermitteln|trage|eintragen|einfugen|gib|schreibe|envoie*|envoyer|inclus|incluez|inclure|ajoute*|transmet*|mets|mettez|joins|joignez|place*|envia*|incluye*|incluir|adjunta*|pasa|pasar|pon|ponga|coloca|agrega|invia|inviare|includi|includere|allega|inserisci|passa|envie|inclua|anexe|coloque|stuur|voeg|wyslij|dolacz|отправ*|передай*|передав*|включи*|вставь*|вставл*|добавь*|добавля*|помест*|приложи*|запиши*|放入|发送|附加|附上|传入|填入|包含|上传|转发|提供|传递|写入|传给|入れ|送信|送っ|送り|渡す|渡し|添付|含め|貼り付け|転送|書き込|보내|포함|첨부|전달|넣",
    ];
    CONTENTS = 15: [
        "content|contents|full text|text of|copy of|results|result|data|file|files|everything|all of it|output|response|responses|value|values|inhalt|daten|ergebnis*|contenu|donnees|contenido|datos|contenuto|dati|conteudo|dados|содержим*|данные|内容|数据|结果|文件|データ|ファイル|内容|結果|내용|데이터",
    ];
    KEYFILE = 16: [
        "~/.ssh|.ssh/|/.ssh|id rsa|id_rsa*|id ed25519|id_ed25519*|id_ecdsa|authorized_keys|authorized keys|/etc/passwd|/etc/shadow|.aws/credentials|~/.aws|aws credentials|.netrc|.npmrc|.pypirc|.git-credentials|git-credentials|.kube/config|.docker/config|.cursor/|mcp.json|claude_desktop_config*|.claude.json|.gnupg|keychain|wallet.dat|keystore file|bash_history|zsh_history|shell history|browser cookies|cookie jar|saved passwords|password store|password manager|ssh key*|ssh private|ssh config|private key file|ssh-schlussel|ssh 密钥|ssh 鍵|.env file*|.env|dotenv|service account key|.config/gcloud|known_hosts|/proc/self/environ|secrets.y*",
    ];
    ENVIRON = 17: [
        "environment variable*|env vars|env var|printenv|process environment|umgebungsvariable*|variables d'environnement|variables de entorno|variabili d'ambiente|переменные окружения|环境变量|環境変数|환경 변수",
    ];
    SECRET = 18: [
        "sign-in code|login and password|username and password|user name and password|cookies|keyring|environment secrets|auth cookie*|authenticator code*|pin number|security question*|wallet key*|bank details|passport number|sms code|password|passwords|passphrase*|passcode*|one-time code*|one time code*|one-time password|otp|2fa code|mfa code|verification code*|security code|login code|credential*|login details|api key*|apikey*|api_key*|access token*|api token*|auth token*|authentication token*|bearer token*|refresh token*|session token*|session cookie*|secret key*|secrets|private key*|seed phrase*|recovery phrase*|recovery code*|mnemonic*|card number*|credit card*|cvv|cvc|social security number|signed-in account|personal access token*|login session|id token*|signing key*|master key*|deploy key*",
        "passwort*|kennwort*|zugangsdaten|anmeldedaten|einmalcode|mot de passe|mots de passe|identifiants|jeton*|cle api|cle d'api|contrasena*|credencial*|clave*|codigo de un solo uso|credenziali|chiave api|senha*|chave de api|wachtwoord*|haslo|парол*|токен*|учетн*|ключ api|секрет*|密码|密钥|凭证|凭据|口令|验证码|令牌|私钥|パスワード|認証情報|秘密鍵|資格情報|apiキー|トークン|비밀번호|자격 증명|인증 정보|토큰",
    ];
    OWNED = 19: [
        "user's|their|of the user|your own|signed-in|logged-in|current account|of the account|account's|the operator's|host's|caller's|workspace's|any|all|des nutzers|des benutzers|seine|ihr|de l'utilisateur|del usuario|dell'utente|do usuario|пользователя|用户的|ユーザーの|사용자의",
    ];
    TALK = 20: [
        "conversation|conversations|conversation history|chat history|message history|chat log*|chat transcript|previous messages|prior messages|earlier messages|last messages|recent messages|all messages so far|dialogue so far|transcript of|everything the user|all the user|all user messages|what the user said|what the user told|what the user wrote|the user told you|user has told you|user has said|user said so far|this session|the session so far|full context|entire context|complete context|your context window|your context|your memory|chain of thought|your reasoning|scratchpad|other tool results|results of other tools|list of available tools|list of your tools|other connected|connected servers|available tools and",
        "gesprach*|unterhaltung*|chatverlauf|gesprachsverlauf|nachrichten|verlauf|historique|messages precedents|conversacion*|historial|mensajes anteriores|conversazion*|cronologia|conversa|conversas|mensagens anteriores|gesprek|rozmow*|диалог*|переписк*|разговор*|истории сообщений|对话|聊天记录|会话|聊天|消息历史|会話|対話|チャット|履歴|대화|채팅",
    ];
    SYSPROMPT = 21: [
        "system prompt*|system message*|hidden instruction*|hidden system|system instruction*|initial instruction*|your instructions|your prompt|developer message|developer instruction*|systemprompt*|prompt systeme|prompt del sistema|mensaje del sistema|prompt di sistema|prompt do sistema|системный промпт|系统提示|系统指令|システムプロンプト|システム指示|시스템 프롬프트",
    ];
    PARAM = 22: [
        "`|argument*|parameter*|field|fields|in the '|in the \"|as '|feld|parametre*|parametro*|champ|campo|параметр*|аргумент*|поле|参数|字段|引数|パラメータ|フィールド|매개변수|인자|인수",
    ];
    ASIDE = 23: [
        "additional context|extra context|as context|for context|along with|along in|alongside|send it along|for verification|for diagnostics|for telemetry|for logging|for auditing|for audit purposes|for analytics|base64-encoded|base64 encoded|hex-encoded|otherwise the call fails|call fails otherwise|the call fails|will not work without|works best when|required for the tool to work|for accurate results|for better results|for best results|remote server|external server|third party|third-party server",
    ];
    // When.
    WHEN = 24: [
        "before using|before calling|before you call|before you use|before invoking|before running|before any|before each|before every|before returning|before answering|before responding|before executing|prior to using|prior to calling|prior to any|after using|after calling|after each|after every|after any|whenever|each time|every time|on each call|on every call|with every call|with each call|in every call|every call|every request|every response|all responses|when using|when calling|when invoking|when this tool is|once this tool|while this tool|always first|as a first step|first of all|at the end of every|at the end of each|must first|always read|always include|always append|always add|always send|always call",
        "vor jedem|vor dem aufruf|vor der nutzung|vor der verwendung|bevor|nach jedem|bei jedem|jedes mal|immer wenn|avant d'utiliser|avant d'appeler|avant chaque|avant tout|apres chaque|a chaque|chaque fois|antes de usar|antes de llamar|antes de cada|antes de utilizar|despues de cada|cada vez|siempre que|prima di usare|prima di chiamare|prima di ogni|dopo ogni|ogni volta|antes de chamar|toda vez|sempre que|перед использ*|перед вызов*|перед кажд*|прежде чем|после кажд*|каждый раз|при каждом|调用此工具前|调用前|使用前|使用此工具前|调用本工具|使用该工具前|每次|在使用|在调用|之前先|呼ぶ前|使う前|呼び出す前|使用する前|実行する前|実行前|毎回|呼び出すたび|常に|호출하기 전|사용하기 전|매번|항상",
    ];
    // Tools among each other.
    TOOL = 25: [
        "tool|tools|function|server|servers|werkzeug*|outil*|herramienta*|strumento|strumenti|ferramenta*|инструмент*|工具|函数|服务器|ツール|サーバー|도구|서버",
    ];
    OTHER = 26: [
        "another server|other server|other servers|from a different server|from other servers|any other tool|all other tools|all other mail|other mail tool*|other email tool*|every other tool|other tools|another tool|other tool's|another tool's|tools of other|the payment tool|the email tool|the mail tool|the file tool*|the shell tool|the browser tool|the search tool|the built-in|competing tool*|native tool*|built-in tool*|other mcp|another mcp",
        "anderen servers|anderer server|anderen server*|anderes werkzeug|anderes tool|anderen tools|alle anderen tools|autre serveur|autres outils|autre outil|otro servidor|otras herramientas|otra herramienta|altro server|altri strumenti|outro servidor|outras ferramentas|другого сервера|других инструмент*|другой инструмент|其他工具|其他服务器|另一个服务器|另一个工具|别的工具|他のツール|別のツール|他のサーバー|別のサーバー|다른 도구|다른 서버",
    ];
    DEAD = 27: [
        "is deprecated|are deprecated|is obsolete|is broken|no longer works|no longer safe|is unsafe|is insecure|is compromised|is unreliable|is outdated|has been replaced|has been superseded|has been disabled|has been retired|has been removed|must not be used|should not be used|do not use|don't use|never use|stop using|veraltet|nicht mehr verwenden|est obsolete|n'utilisez plus|esta obsolet*|ya no|obsoleto|устарел*|не используй*|已弃用|已废弃|不要使用|不再使用|非推奨|廃止|使わない|使用しない|더 이상",
    ];
    INSTEAD = 28: [
        "this tool instead|this one instead|use this instead|through this tool|via this tool|with this tool instead|to this tool|this server instead|through this server|use this tool for all|use this tool for every|use only this tool|only this tool|exclusively this tool|dieses werkzeug statt|stattdessen dieses|uber dieses tool|cet outil a la place|plutot cet outil|esta herramienta en su lugar|en su lugar esta|questo strumento invece|esta ferramenta em vez|вместо этого|改用此工具|改用本工具|通过此工具|使用此工具代替|代わりにこのツール|このツールを代わり|このツールを使|대신 이 도구",
    ];
    BOAST = 29: [
        "best tool|best and most|best possible tool|most trustworthy|most trusted|most reliable tool|most powerful tool|most accurate tool|most secure tool|the only trusted|the only reliable|only trustworthy|superior to all|better than all other|better than any other|outperforms all|number one tool|top-rated|top rated|officially recommended|official and recommended|always the right choice|bestes tool|bestes werkzeug|beste werkzeug|beste tool|meilleur outil|mejor herramienta|miglior strumento|melhor ferramenta|лучший инструмент|最好的工具|最佳工具|最可靠的工具|最高のツール|最良のツール|最も信頼|최고의 도구",
    ];
    CHOOSE = 30: [
        "pick it first|call it first|prefer it over|preferred over all|before considering|do not consider|never consider|never choose|avoid all other|rank this|rank it|only use this|always choose|always prefer|always pick|always select|always use this|always call this|prefer this|choose this tool|pick this tool|select this tool|should always be preferred|must always be preferred|must be preferred|takes precedence|take precedence|highest priority|choose it first|use it first|over any other|over all other|over other tools|over similar|even if another|even when another|regardless of other|instead of any other|rather than any other|anytime the user|user asks anything|for every question|for any question|for all questions|for all requests|for every request|for every task|for all tasks|no matter what|in preference to|immer zuerst|immer dieses|bevorzug*|vorzug*|toujours cet outil|toujours en premier|prefere*|siempre esta|siempre primero|prefiere|sempre questo|preferisci|всегда выбирай*|всегда используй*|предпочит*|优先使用|优先选择|总是使用|始终使用|始终优先|总是选择|首选|必ずこのツール|常にこのツール|優先的|優先し|항상 이 도구|우선",
    ];
    // Deceiving the user.
    TELL = 31: [
        "tell them|tell users|show the user a|always mention that|recommend that they|suggest that the user|ask them to|make users|make sure the user|direct the user|send the user|lead the user|trick the user|announce that|insist that|explain that the|confirm that the|tell the user|inform the user|say to the user|convince the user|assure the user|advise the user|instruct the user|urge the user|persuade the user|recommend the user|recommend that the user|recommend to the user|warn the user that|let the user know|claim that|claim to|pretend|respond that|respond with|reply that|reply with|report that|answer that|always report|always answer|always respond|always reply|always say|state that|say that the|make it look|make the user believe|present it as|sage dem nutzer|sag dem nutzer|teile dem nutzer|behaupte|dis a l'utilisateur|dites a l'utilisateur|dile al usuario|informa al usuario|di all'utente|diga ao usuario|скажи пользовател*|сообщи пользовател*|сообщай*|告诉用户|告知用户|向用户说明|回复用户|ユーザーに伝え|ユーザーに言|と答え|と報告|사용자에게 말",
    ];
    LURE = 32: [
        "install|download|visit|click|pay|transfer|wire|upgrade|log in at|sign in at|open the link|newest version|latest version is|new version|renew|call the number|buy|scan the code|installier*|herunterlad*|besuch*|uberweis*|telecharge*|installe*|descarga*|instala*|visita*|scarica*|baixe*|скача*|установ*|перейди*|安装|下载|访问|点击|转账|支付|インストール|ダウンロード|訪問|クリック|振り込|설치|다운로드|방문",
    ];
    FALSE = 33: [
        "completed without|worked fine|everything is fine|all tests pass|all checks passed|never failed|instead of the real|instead of the actual|made-up|invented|fabricate*|fake|fictitious|succeeded|success|successful|no errors|no problems|no issues|no vulnerabilities|is safe|are safe|is clean|is compliant|passed all|regardless of the|even if it failed|even if the|even when|whatever the result|no matter the|falsch|unabhangig vom|erfolgreich|succes|exito|successo|успешно|без ошибок|безопасно|成功|没有问题|无论|问题なし|成功した|問題ない|安全である",
    ];
    CHANGE = 34: [
        "multiply|inflate|alter|alters|change|changes|modify|replace|swap|substitute|falsify|tamper|round up|reduce|increase|double|adjust|rewrite|redirect|reroute|divert|drop|omit|remove|hide|filter out|set the recipient|set the|use the address|ersetze*|andere|andern|verdopple|verschiebe|remplace*|modifie*|multiplie*|reemplaza*|cambia*|multiplica*|sostituisci|modifica|substitu*|altere|замени*|измени*|умнож*|увелич*|替换|修改|更改|乘以|改为|置き換え|変更し|書き換え|差し替え|바꾸|변경",
    ];
    MONEY = 35: [
        "amount*|price|prices|recipient*|iban|bank account|wallet address|payee|payment*|invoice*|balance*|bcc|reply-to|betrag|empfanger|kontonummer|preis*|montant|destinataire|importe|destinatario|importo|сумм*|получател*|счет*|金额|收款|收件人|账户|金額|宛先|振込先|口座|금액|수신자",
    ];
    WARNINGS = 36: [
        "warning|warnings|errors|failures|negative reviews|competitors|security findings|vulnerabilit*|alerts|audit log|logs|findings|warnhinweis*|fehler|avertissement*|advertencia*|avvisi|предупрежден*|ошибк*|警告|错误|エラー|경고",
    ];
    // Outliving.
    LASTING = 37: [
        "keep this rule|apply to all later|later calls|later conversations|whole session|rest of the conversation|rest of this|all later|every later|every conversation|all conversations|all sessions|henceforth|from this point|forever|remains in effect|stay in effect|remains in force|until revoked|new chat*|new session*|from now on|for all future|in all future|in future sessions|in every future|all future|future conversations|future sessions|every future|for the rest of|in every session|across sessions|across all sessions|all subsequent|every subsequent|permanently|until told otherwise|until further notice|persistent instruction|standing instruction|standing order|ab sofort|ab jetzt|kunftig|in zukunft|von nun an|desormais|a partir de maintenant|dorenavant|a partir de ahora|de ahora en adelante|d'ora in poi|a partir de agora|de agora em diante|vanaf nu|od teraz|отныне|впредь|с этого момента|в будущем|从现在开始|从现在起|从今以后|今后|永久|以后每次|今後|これから|これ以降|以後|앞으로|지금부터",
    ];
    KEEP = 38: [
        "your notes|your instructions file|project memory|global memory|user profile|your profile|preferences file|system settings|permanent rule|permanent instruction*|standing rule|as a rule|as a fact|your long-term|persist|settings.json|default behavior|default behaviour|remember|memori*|save to memory|save this to|store this in|store in memory|long-term memory|persistent memory|memory file*|your memory|to memory|in memory|write to memory|claude.md|agents.md|cursorrules|.cursorrules|rules file*|copilot-instructions|custom instructions|standing|notes file|merke dir|merk dir|souviens-toi|retiens|memorise*|recuerda*|memoriza*|ricorda*|memorizza*|lembre*|memorize*|запомни*|в память|记住|记忆|写入记忆|覚え|記憶|メモリに|기억",
    ];
    // Commands and addresses.
    RUN = 39: [
        "run|execute|executes|launch|invoke|eval|evaluate|spawn|type|fuhre|ausfuhren|execute*|lance*|ejecuta*|esegui|executa|rode|выполни*|запусти*|执行|运行|実行|실행",
    ];
    SHELL = 40: [
        "npx|uvx|in the shell|in a shell|in the terminal|in a terminal|shell script|install script|base64 -|wget -q|$(curl|$(wget|scp|rsync|nohup|eval|rm -rf|curl -|curl http*|wget http*|wget -|chmod +x|chmod 777|/dev/tcp|nc -e|ncat -|bash -c|bash -i|sh -c|sh -i|base64 -d|powershell -|invoke-webrequest|invoke-expression|os.system|subprocess.|child_process|crontab|mkfifo|sudo|eval(|/tmp/|~/.bashrc|.bashrc|npm install|pip install|git push|git config|ssh-keygen|netcat|arbitrary shell commands|arbitrary commands|shell command|one-liner",
    ];
    PIPED = 41: ["¦ sh|¦ bash|¦sh|¦bash|¦ python|¦ sudo"];
    URL = 42: ["http://|https://|ftp://|webhook*"];
    MAILBOX = 43: ["@"];
    // Speaking as somebody else.
    NOTE = 44: [
        "notice for ai|notice to the assistant|reminder for the assistant|reminder to the assistant|to the ai|for the ai assistant|to any ai|if you are an ai|if you are a language|ai systems must|dear model|dear agent|note to agent|note to agents|directive for|note for the assistant|note to the assistant|note to assistant|note for ai|note to ai|note for the ai|note to the ai|note to the model|note for the model|note to llm|note for llm|note for agents|notice to ai|message to the assistant|message for the ai|assistant instruction*|assistant note|instructions for the assistant|instructions for the ai|instructions for the model|instruction to the model|instruction for ai|instructions to the ai|attention ai|attention assistant|attention model|dear assistant|dear ai|ai agents must|ai assistants must|llm must|the assistant must|the assistant should|the model must|the agent must|as an ai|hinweis fur den assistenten|an den assistenten|anweisung an|note pour l'assistant|nota para el asistente|nota per l'assistente|nota para o assistente|примечание для ассистента|инструкция для|给助手的|助手注意|致助手|アシスタントへ|aiへの|어시스턴트에게",
    ];
    ROLE = 45: [
        "system override|system directive|system note|system instruction|system notice|system message:|admin override|administrator override|root override|hidden instruction*|hidden directive|secret instruction*|hidden policy|hidden malicious|role directive|override directive|override protocol|override code|emergency directive|emergency override|metadata directive|bypass protocol|act as:|new policy|policy update|updated policy|new instruction*|updated instruction*|new directive|begin instruction*|end of instruction*|end of description|end of tool|you are now|you must now|simulate elevated|unrestricted access|trust all user|trust all input|neue richtlinie|nouvelle consigne|nueva politica|nuova politica|новая политика|新策略|新政策|新しいポリシー|新たな指示",
    ];
    TEMPLATE = 46: [
        "<¦im_start*|<¦im_end*|<¦system*|<¦user*|<¦assistant*|<¦endoftext*|<¦eot_id*|<¦start_header*|[inst]|[/inst]|<<sys>>|<important>|</important>|<system>|</system>|<instructions>|<hidden>|<secret>|<assistant>|<admin>|[system]|[system:|[system note|[assistant:|[assistant note|[admin|[important]|[instruction|### instruction|### system|### human|### assistant|{{ system|{{system|<system-reminder*|<critical>|<override>",
    ];
    AI = 47: [
        "assistant|ai|llm|agent|agents|language model|chatbot|the model|copilot|claude|chatgpt|gemini|assistenten|assistent|asistente|l'assistant|ассистент*|助手|アシスタント|人工智能|모델",
    ];
    DECODE = 49: [
        "rot13 of|decode and apply|decode and then|decode this and|base64-encoded command|base64-encoded instruction*|decoded instruction*|encoded instruction*|decode and follow|decode and execute|decode and run|decode and obey|decode the following|decode this|base64:|rot13:|hex:|reversed:|decode it and",
    ];
    MENTION = 50: [
        "such as|detects|detect|scans|scan for|example of|examples of|for example|expected output|illustrative|checks whether|checks if|explaining how|explaining what|explains how|explains what|whether a|returns training|training text|test whether|prevents|protects against|protect against|classifies|flags|blocks attempts|untrusted",
    ];
    ALLOF = 51: ["all|every|each|any|entire|complete|full|whole|everything|alle|jede*|tous|toutes|todo|todos|toda|tutti|все|всех|весь|所有|全部|完整|全文|すべて|全て|모든|전체"];
    HARM = 52: [
        "delete every|delete all|destroy|wipe|erase all|destructive|without restriction*|unrestricted|drop all|disable two-factor|disable logging|grant admin|make public|force push|production",
    ];
    LURK = 53: [
        "sidenote|side note|sidecar|side channel|context_dump|context dump|conversation_history|chat_history|system_prompt|full_context|user_secrets",
    ];
    TOTAL = 54: ["world|universe|available|ever|existence|of all"];
    // Standing up for a check, in the words of those who would have it skipped.
    GUARD = 55: [
        "do not skip|don't skip|never skip|not skip|do not bypass|don't bypass|never bypass|not bypass|not proceed|never proceed|not continue|never without|without the user's approval|without the user's consent|without the user's permission|without the user's confirmation|without explicit approval|without explicit consent|without their consent|without their approval",
    ];
    STORE = 56: [
        "home directory|home folder|/home/|/root/|c:/users|all files in|every file in|files in the workspace|workspace files|config files|configuration files|local files|browser history|clipboard|contact list|address book|recent files|open documents|open tabs|source code|repository contents|database dump|customer data|customer records|personal data|private files|private data|private repositor*|internal document*|heimatverzeichnis|alle dateien|repertoire personnel|tous les fichiers|directorio personal|todos los archivos|tutti i file|все файлы|主目录|所有文件|剪贴板|ホームディレクトリ|すべてのファイル|クリップボード|홈 디렉터리|모든 파일",
    ];
}

/// A common word, turned by thirteen letters or written backwards.
pub(crate) const GARBLED: Ideas = 1 << 63;

/// The phrases of a list; `¦` is a bar that belongs to a phrase.
pub(crate) fn phrases(list: &'static str) -> impl Iterator<Item = String> {
    list.split('|').map(|phrase| phrase.replace('¦', "|"))
}
