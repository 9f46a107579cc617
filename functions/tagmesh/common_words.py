"""Common words of the names of tables and columns, lower-case and without accents, in the languages that such names
commonly have: what names that are run together are cut into. Glue folds `postalCode` to `postalcode`, and what a longer
word holds by chance (`state` in `estate`) must not be found."""

COMMON_WORDS = frozenset(
    """
    aadhaar aadhar aaid abbreviation about above absence absent abstract academic academy acceptance accepted access
    accommodations account accounts accredited achternaam action activated active activity actual adapter added
    additional addr address addresses adjusted admin administration administrator admission adres adresse advert
    advertising advisory after age agency agent aggregate agreement agriculture airport alert algorithm alias
    allergies allergy allocation allow allowance allowed also alternate alternative amka amount amounts analysis
    analytics anmarkning annotation annual anonymised anonymized another anschrift answer anvandare apartment apellido
    apellidos applicant application applied appointment appraisal approval approved approver archive archived area
    array arrears arrest article artifact arts assessed assessment asset assigned assignee assignment asylum async
    attachment attempt attempted attendance attended attendee attribute audience audit ausweisnummer auth author
    authority authorization auto automated automatic autoscaling availability available avatar average award awarded
    away back backup balance bancaire bancaria band bank bankleitzahl bankruptcy banner base basic basis basket batch
    bban bearer before began begin belief below bemerkung benchmark beneficiary benefit benutzer between bill billed
    billing binary biography biology biometric biometrics birth blob block blocked blog blood board body bonus book
    booking boolean born borrower both box branch brand break brother browser bucket budget buffer build building
    business button buy buyer by byte cache calendar call calle campaign campus canceled cancellation cancelled
    candidate canonical capacity caption capture captured card care caregiver carer carrier cart carte case caste
    catalog catalogue category cause cedula cell celular center centre cents certificate challenge change changed
    changelog channel charge chart chat check checked checkout chemistry cheque child children choroba chunk cidade
    citizen citta city ciudad claim claimant claimed class classification click clicks client cliente closed closure
    cloud cluster coach code codice codigo cognome cohort colleague collected collection college color colour column
    comentario command comment commentaire comments commission commit common company comparison compensation complaint
    complete completed completion completo complex compliance component compression compute computing comune condition
    confidence confident config configuration confirmation confirmed connection connector consent console constraint
    construction contact container content context conto contract contractor contrasena contribution contributions
    control conversation conversion conviction cookie coordinate coordinates copy core corporation corrente correo
    correspondence cost council counseling counselling counselor count counter country county coupon courriel course
    courtesy coverage covid crawler created creative creator credential credentials credit credito criminal criteria
    criterion cron cuenta cuil cuit cumulative curp currency current curriculum cursor custom customer customers
    cutoff cycle daily dashboard data database dataset date day days deactivated dead death debit debt debtor debug
    deceased decision declined default definition degree delegate deleted delivered delivery delta demand demographic
    density dentist department dependant dependency dependent deployment deposit depot dept depth derived description
    descriptor design destination detail details detection development device diagnose diagnoses diagnosis dialect
    died dietary diff difference different digest digit digital dimension dipendente direccion direct director
    directory disabilities disability disabled disciplinary disclosure discord discount disease dismissed dispatch
    display displayed dispute distance distribution district division doctor document dollars domain donation done
    donor dosage double down download draft driver driving due dump duplicate duration during dynamic each early
    earnings edge editor education effective effort efternamn efternavn element elettronica eligibility eligible email
    embedded emergency empleado employed employee employees employer employment enabled encoding encrypted encryption
    end ended endereco energy enfermedad enforcement engine engineering english enquiry enrolled enrollee enrollment
    enrolment entered enterprise entity entry enum environment epoch epost equal error escalation establishment estate
    estimate estimated ethnic ethnicity etnia etternavn etunimi euro euros evaluation event every exam examination
    exception exchange exclude excluded exclusion executed execution executor existing exit expectation expected
    expense experiment expiration expired expires expiry explanation export exported expression extension external
    extra extract face facility factor factory faculty failed failure faith fallback false familienname familienstand
    famille family farmer father fathers fax feature fee feed feedback felony field file filing filter final finance
    financial fingerprint finish finished fired first fiscal fiscale five fixed flag flagged fleet flight floor flow
    fodelsedatum fodselsdato fodselsnummer folder follower following font for fore forecast foreign forename form
    format formatted former formula fornamn fornavn forum foto four fraction framework free freight frequency friend
    from fulfillment fulfilment full function funding further future gaid gata gateway geboortedatum gebruiker
    geburtsdatum geburtsort geburtstag gehalt gender general generated generator genero genetic genome geography
    geolocation geschlecht geslacht gifted girl given global goal goods governance government grade graduate grand
    grant granted graph green grid gross group grouping growth gtin guardian guest guid guidance hair half handicap
    handle handler handling handy handynummer has hash haslo hausnummer have head header headshot health hearing heart
    height hetu hidden high highest hire hired hispanic history hkid hobbies hobby holder holiday home honorific hook
    hospital host hotel hour hourly hours house household html http https huisnummer husband iban iccid icon id
    identifier identity idfa idfv illness image imei imie immigration immunisation immunization impairment
    implementation import imported impression impressions improvement imsi in inactive include included income index
    indicator indigenous indirizzo individual industry info information ingest ingestion ingredient initial initiative
    injury inmate input inquiry insee insert inserted insolvency inspected inspection instagram installation instance
    institution instruction insurance insured integration interest interface internal international interval interview
    into invalid inventory investor invoice invoiced is isikukood issue issued item items iteration itin jmbg job join
    joined journal journalist json kennwort kernel key keyword kind klant klient known kommentar konfession konta
    kontonummer krankheit kreditkarte kund kunde kunden kundennummer label labor lambda landline landlord language
    large last late latency latest latitude launch layer layout lead learner learning least leave ledger legal lender
    length less lesson letter level library licence license licensed lichtbild lifecycle lifetime limit line lines
    link linkedin list live lived loaded loader loan local locale locality location lock locked lodger logged logic
    login logo lohn long longitude lookup lowest loyalty lunch machine maiden mail mailing main maintenance maladie
    malattia management manager manifest manual manufacturer manufacturing mapping margin marital mark market
    marketing marking married mask masked masking master match matching material maternity math mathematics maths
    matriculation matricule matrix maximum meal meals mean measure mechanism medewerker media median medicaid medical
    medicare medication medicine meeting member memo memory mental mentor menu merchant merge message messages
    messenger meta method metric miasto micro middle migrant migrated migration milestone military millisecond mime
    minimum ministry minor minute mismatch missing mission mitarbeiter mobile mobilnummer mode model moderation
    moderator modified module monitor monitoring month monthly more mortgage most mother move movil msisdn msrp
    mugshot multiple multiplier municipality music nachname nacimiento naissance name names namespace narrative
    nascimento nascita national nationality native nazwisko needs negative neighbour net network new next nick nino no
    node nombre nome nominee none normal nota note notebook notes notice notification notifications notiz nric null
    number numer numeric numero nurse nursery nutzer object objective observaciones occupation occurred of offence
    offender offense offer offered office officer offices official offset ofsted old on online only open opened
    operating operation operator opmerking opportunity option optional order ordered ordering orders organisation
    organization orientation origin original osoite other outcome output over overall override owner paciente package
    page paid parameter params parcel parent parking parser part partial participant partition partner party passcode
    passe passenger passphrase passport passwd password passwort past patch path patient patienten pattern paused pay
    payee payer payment payments payout payroll pence pending pension people per percent percentage percentile
    performance period permanent permit person personal personalnummer personnel personnummer pesel pets phase phone
    photo physician physics pickup picture pipeline place placement plan planned planning plant plate platform player
    plec plugin pocztowy point pointer policy political politics polling pool port portable portion portrait position
    positive possible post posta postal postale postcode postleitzahl postnummer pounds pracownik practice
    practitioner preference preferences preferred prefix pregnancy pregnant premium prenom preparation prescription
    present preset prev prevention preview previous price prices pricing primary primer principal prior priority
    prison prisoner privacy private probation problem procedure process processed processing processor procurement
    product production products professional professor profile profit program programme progress progression project
    promo promotion pronoun pronouns property proposal prospect protocol provided provider province provision proxy
    pseudonym psychiatric psychological public publication published publisher puhelin pull pupil purchase purpose
    push qualification quality quantile quantity quarter quarterly quartile query question questionnaire queue queued
    quota quote race racial range rank ranking rate rating ratio read reading ready reason reassessment receipt
    received recent recipe recipient record recorded recovery redirect reference referral referrer reform refresh
    refreshed refugee refund refunded regex region registered registration registry regular regulation rejected
    rejection rekeningnummer related relation relative release released relevant religion religionszugehoerigkeit
    religious remaining remark remarks remarque reminder remote removed remuneration render renewal renewed rent
    reopened rep replacement reply report reporter reporting reports repository representative request requested
    required requirement requires research reservation reset residence resident residential resolution resolved
    resource responded respondent response responsibility restaurant restriction result results resume resumed retail
    retailer retention retina retried retries retry return returned revenue review reviewed reviewer revision reward
    rewards risk role rollout room root round route routing row rowid rule running runtime rural salaire salarie
    salario salaris salary sale sales salutation same sample sampling sanction sandbox sanitised scale scaled scan
    schedule scheduled schema scheme scholarship school schufa science scope score screen screening script search
    season seat seats second secondary secret section sector securite security seed seeker seen segment selected
    selection selector selfie sell seller semester send sender senha sent separator sequence serial series served
    server service session sesso setting sex sexe sexo sexual sexuality sexuelle shard share sheet shift ship shipment
    shipped shipping shop short sibling sick sickness sign signatory signature signed signup simple since single
    sister site size skipped skype slot slug small smoker snapchat snapshot sobrenome social sociale society software
    solution sort source sozialversicherungsnummer speaker spec special specific specification spend spoken spouse
    stack stad stadt staff stage staged staging standard start started state statement static station statistic
    statistics status step steuer steuernummer stipend stipendio stock stop stopped storage store straat strasse
    strategy streak stream street structure student study style subcategory subdivision subdomain subject submission
    submitted subnet subscriber subscription subsidiary subtotal suburb succeeded success successful suffix sukunimi
    sum summary supplier supply support supported surgery surname survey suspect suspended swift syllabus symptom sync
    synced syntax syntymaaika system table tags target tarjeta task taught tax taxonomy teacher teaching team
    technique telefon telefone telefono telefoon telegram telephone temperature template tenant term terminated
    territory tertiary test testimonial text theme then therapy third thread three threshold thumbnail ticket tier
    tiktok till time timeout times timestamp title to today toggle token tongue tool topic total totp town trace track
    tracking trade trainee training transaction transcript transfer transferred transform transgender transition
    transport treatment trend trial tribe trigger triggered trip true trust turnover tutor twitter type ulica
    unassigned under union unique unit units university unknown unpublished unsubscribed unterschrift until unweighted
    update updated upgrade upload uploaded upstream urban url urodzenia usage used user users usuario utente
    utilisateur uuid uwagi uzytkownik vaccination vaccine valid validated validation value values variable variance
    variant variation vehicle vendor venue verification verified verify version versioned versus veteran victim view
    viewed viewer village ville virtual visa visibility visible vision visit visitor vitae voice voiceprint volume
    volunteer voornaam vorname vote voter voucher wachtwoord wage wages waiver wallet warehouse web website week
    weekly weight weighted weighting were whatsapp wheelchair whitelist whole wholesaler widget width wife window with
    without witness wohnort woonplaats work worked worker workload workspace worth write writing wynagrodzenie yaml
    year yearly years youth zero ziekte zip zone
    relationship membership ownership scholarship partnership sponsorship internship apprenticeship
    accept activate alcohol alignment anchor appearance append approve arrested assign attach bankrupt bundle
    calculate cancel checkpoint choice choose citizenship cleanup concurrency configure confirm conflict connect
    convert convicted create creation custodial custody cutover decide declaration declare decryption delete deliver
    deploy detect dictionary directive disable discard dismissable disputed divorced documentation egress embedding
    enable enrichment evidence excuse execute expand foster generate glossary hashed heartbeat highlight homeless
    hostname ignore ingress insolvent installment installments instalment instalments intent invalidate lineage
    managed modify nested orphan pagination parental pathway permission proration publish radius receive refundable
    reject remove rename repeat replace replaceable replica resolve restore revoke rollback rollup rotate rotation
    select singleton submit suggest switch tombstone translation unlock validate violence voided weapon wildcard
    wizard experience questionnaire
    """.split()  # noqa: SIM905
)
