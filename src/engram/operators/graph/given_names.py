"""Given names, and what their bearers are called."""

from __future__ import annotations

__all__ = ["NICKNAMES"]


def _groups(text: str) -> dict[str, frozenset[str]]:
    """Each word, to the first words of the lines that it stands in."""
    found: dict[str, set[str]] = {}
    for line in text.strip().splitlines():
        head, *words = line.split()
        for word in (head, *words):
            found.setdefault(word, set()).add(head)
    return {word: frozenset(heads) for word, heads in found.items()}


# A name in front, behind it short forms and how other languages write it.
NICKNAMES = _groups("""
abigail abby gail abbie
abraham abe avram ibrahim
adelaide addie heidi della
agnes aggie nessie agnieszka
albert al bert bertie alberto albrecht
alexander alex alec sandy sasha xander lex aleksandr alejandro alessandro aleksander oleksandr iskander
alexandra alex sandra sasha lexi aleksandra alejandra alessandra oleksandra
alfred al alf alfie fred alfredo
alice ali allie alicja
amanda mandy
amelia millie amy mia
andrew andy drew andreas andrei andrej andrey andre andres andrzej anders
angela angie
ann annie anna anne nancy nan anita ana anya hannah
anthony tony anton antonio antoni antoine toni
arthur art artie arturo
augustus gus august augusto
barbara barb babs barbie basia
benjamin ben benny benji
bernard bernie bernardo bernhard
bridget biddy bridie brigitte birgit
caroline carrie caro lina carolina karoline
catherine cathy cath kate katie kathy kat kitty katherine kathryn katharine catalina katarina ekaterina
catherine katya katrin kasia karen catarina
charles charlie chuck chas carlos karl carl carlo karel
charlotte lottie charlie char lotte
christina tina chris chrissie christine kristina kirsten cristina krystyna
christopher chris kit topher kris cristobal christoph christophe krzysztof
cynthia cindy
daniel dan danny dani danilo
david dave davy davey dov dawid
deborah deb debbie debra
diana di diane
dmitri dima mitya dmitry dimitri dimitrios dmitriy
dolores lola lolita
donald don donnie
dorothy dot dottie dolly dora dorothea
douglas doug
edmund ed eddie ned ted
edward ed eddie ted teddy ned eduardo eduard edouard edvard
eleanor ellie nell nora nellie ella lenore eleonora
elizabeth liz lizzie beth betty bess eliza libby lisa elsie betsy lilibet elisabeth elisabet isabel
elizabeth bettina lise elspeth elzbieta
emily em emmy emilie emilia
emmanuel manny manuel manolo emanuel
esther essie hester ester
eugene gene yevgeny evgeny evgeni eugenio zhenya eugen
evelyn evie eve
fernando nando ferdinand fernand
florence flo flossie florrie
frances fran fanny frankie francie francesca francisca franziska francoise
francis frank frankie fran francesco francisco franz paco pancho curro frantisek franciszek francois chico
frederick fred freddie freddy rick fritz frederic friedrich federico fredrik
gabriel gabe gabi gabriele
gabriella gabi gaby ella gabriela gabriele gabrielle
geoffrey geoff jeff jeffrey
george georgie jorge georg georges giorgio jurgen yuri jiri jerzy georgios yorgos
gerald gerry jerry
gertrude trudy gertie
gregory greg grigori grisha gregorio
guadalupe lupe lupita
guillermo memo guille
harold harry hal harald
helen nell nellie ellen lena elena helena eleni jelena
henry harry hank hal henri heinrich enrique enrico henrik heinz hendrik
herbert herb bert
hugh hughie hugo
ignatius iggy nacho ignacio ignaz inigo
irene rene irina ira
isabella bella izzy isabel isabelle isa isobel
isaac ike yitzhak
jacob jake jakob yaakov jakub
jacqueline jackie jacqui
james jim jimmy jamie jem jaime diego jacques giacomo santiago
jane janie jenny janet jean juana joanna
jeremy jerry jem jeremiah
jessica jess jessie
joan joanie juana
joanna jo joanne asia joan
john jack johnny jon jan juan johan johann johannes ivan giovanni jean joao hans sean ian jens ioannis
john yannis janos vanya
jonathan jon jonny nathan johnathan
joseph joe joey jose pepe giuseppe josef jozef peppe ze pepito josip iosif yosef yusuf youssef
josephine jo josie fifi josefa pepa josefina
joshua josh
judith judy jude
julia jules julie juliet giulia yulia
karen kari
kenneth ken kenny
kimberly kim
kirill kir
laura laurie lori lauren laure
lawrence larry laurie lorenzo lars laurence laurent lorenz
leonard leo len lenny leonardo leonid
leopold leo poldi
louis lou louie luis luigi ludwig lewis ludovic luiz
louise lou lulu luisa louisa
lucy lucia lu lucie
madeleine maddie madeline madlen
magdalena lena magda maggie leni
margaret maggie meg peggy peg madge greta rita margie marge daisy margarita marguerite margarethe gretel
margaret margot malgorzata
maria mary mia marie mariya masha maja
mark marcus marco marc markus marek marcos
martha marty mattie marta
martin marty martino marten
martina tina
mary molly polly maria marie mimi may moira miriam maureen mamie
matilda tilly mattie maud
matthew matt matty mateo matthias matteo mateusz matthieu mats
maximilian max maxi
michael mike mick mickey mikey mitch miguel michel mikhail misha michele mikael michal mihail
mohammed mohammad muhammad mohamed mo mohamad mehmet mahomet muhamad mohd
nathaniel nat nate nathan
natalia natasha natalie nat tasha nathalie
nicholas nick nicky nico klaus nicolas nikolai kolya nikolaos nikos nicola claus mikolaj niklas nikolas
nicole nicky nikki
olivia liv livvy ollie
oliver ollie olly oli
pamela pam
patricia pat patty tricia trish patsy
patrick pat paddy patricio padraig
paul pablo paolo pavel paulo pawel pauli pavlos
peter pete pedro pietro pierre piotr pyotr petya petr petros per peder
philip phil pip felipe philippe filip filippo
priscilla cilla prissy
rachel rach rachael raquel
raphael rafa rafe rafael raffaele
raymond ray raimund ramon
rebecca becky becca bekah rebekka
reginald reg reggie
richard rick dick richie rich ricky ricardo riccardo rikard
robert bob rob bobby robbie bert roberto robin
roderick rod roddy rodrigo
roger rodge rogelio ruediger
ronald ron ronnie
rosemary rosie rose romy
rose rosie rosa
samantha sam sammy
samuel sam sammy samuele shmuel
sarah sally sadie sara
sebastian seb bastian basti sebastien bash
simon si shimon simeon
sophia sophie sofia sonia sonya zofia
stephen steve steven stevie stephan esteban stefan stefano etienne stepan istvan
susan sue susie suzy suzanne susanna zuzana
sylvia sylvie silvia
tamara tammy toma
teresa terry tess tessa theresa therese teresita
terence terry terrance
thaddeus tad
theodore ted teddy theo teodor fyodor fedor theodoros
thomas tom tommy tomas tommaso tomasz thom
timothy tim timmy timo
ulrich uli ulrik
valentina val tina vale
valeria val lera valerie
victor vic vittorio viktor
victoria vicky vic tori vicki viktoria
vincent vince vinny vincenzo vicente
virginia ginny ginger
vladimir vova volodya vlad volodymyr wladimir
walter walt wally gualtiero
wilhelmina mina minnie billie
william bill will billy willy liam wilhelm guillermo guillaume guglielmo willem vilhelm
winifred win winnie freda
yevgenia zhenya evgenia eugenia
zachary zach zack zak
""")
